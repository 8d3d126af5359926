//! What is known of a panic: message, source line, backtrace. The hook that learns it prints nothing for threads of a run,
//! since their panics become the run's [`crate::Failure`].

use crate::context::{Mode, mode};
use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::cell::RefCell;
use std::panic;
use std::sync::Once;

pub(crate) struct PanicInfo {
    pub(crate) message: String,
    pub(crate) location: Option<String>,
    pub(crate) backtrace: Option<String>,
}

thread_local! {
    static LAST: RefCell<Option<PanicInfo>> = const { RefCell::new(None) };
}

/// Installs the hook, once for the process; panics outside of runs go on to the hook that was there before.
pub(crate) fn install_hook() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if mode() == Mode::Outside {
                previous(info);
                return;
            }
            let backtrace = Backtrace::capture();
            let captured = backtrace.status() == BacktraceStatus::Captured;
            let info = PanicInfo {
                message: message_of(info.payload()),
                location: info.location().map(ToString::to_string),
                backtrace: captured.then(|| backtrace.to_string()),
            };
            // A second panic while the first one is still unwinding is only an echo of it.
            LAST.with_borrow_mut(|last| {
                last.get_or_insert(info);
            });
        }));
    });
}

/// What the hook learned of the panic that was just caught.
pub(crate) fn take(payload: &(dyn Any + Send)) -> PanicInfo {
    let last = LAST.with(|last| last.borrow_mut().take());
    last.unwrap_or_else(|| PanicInfo { message: message_of(payload), location: None, backtrace: None })
}

fn message_of(payload: &(dyn Any + Send)) -> String {
    match (payload.downcast_ref::<&str>(), payload.downcast_ref::<String>()) {
        (Some(text), _) => (*text).to_owned(),
        (_, Some(text)) => text.clone(),
        _ => "a panic whose payload is no text".to_owned(),
    }
}
