//! The messages between coordinator and workers, read on their way into and out of the coordinator's
//! handlers.

use labrpc::Service;
use labrt::sync::Arc;
use mapreduce::rpc::{
    FetchFailedArgs, GetTaskArgs, GetTaskReply, ProgressArgs, RegisterArgs, TaskDoneArgs, TaskDoneReply,
    TaskFailedArgs,
};
use serde::de::DeserializeOwned;

use super::checker::Checker;

/// A request to the coordinator.
pub(crate) enum Question {
    Register(RegisterArgs),
    GetTask(GetTaskArgs),
    Progress(ProgressArgs),
    TaskDone(TaskDoneArgs),
    TaskFailed(TaskFailedArgs),
    FetchFailed(FetchFailedArgs),
}

/// What the coordinator has answered, where it matters.
pub(crate) enum Reply {
    GetTask(GetTaskReply),
    TaskDone(TaskDoneReply),
}

impl Question {
    fn read(method: &str, args: &[u8]) -> Option<Question> {
        match method {
            "CoordinatorRpc.register" => read(args).map(Question::Register),
            "CoordinatorRpc.get_task" => read(args).map(Question::GetTask),
            "CoordinatorRpc.progress" => read(args).map(Question::Progress),
            "CoordinatorRpc.task_done" => read(args).map(Question::TaskDone),
            "CoordinatorRpc.task_failed" => read(args).map(Question::TaskFailed),
            "CoordinatorRpc.fetch_failed" => read(args).map(Question::FetchFailed),
            _ => None,
        }
    }

    fn read_reply(&self, reply: &[u8]) -> Option<Reply> {
        match self {
            Question::GetTask(_) => read(reply).map(Reply::GetTask),
            Question::TaskDone(_) => read(reply).map(Reply::TaskDone),
            _ => None,
        }
    }
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    labgob::decode(bytes).ok()
}

/// The coordinator's service, with the checker around its handlers.
pub(crate) fn around(service: Service, checker: &Arc<Checker>) -> Service {
    let checker = checker.clone();
    service.around(move |method, args, handle| {
        let Some(question) = Question::read(method, args) else { return handle() };
        let asked = checker.asked(&question);
        let answer = handle();
        if let Some(Ok(bytes)) = &answer
            && let Some(reply) = question.read_reply(bytes)
        {
            checker.answered(&question, &asked, &reply);
        }
        checker.is_handled(&question);
        answer
    })
}
