//! Texts that would like to be more than text.

use linearize::{Fault, KvBuilder, KvHistory};

/// Values, keys and faults that would like to be more than text.
pub(crate) const HOSTILE: [&str; 14] = [
    "</script><script>window.hacked = 1</script>",
    "<img src=x onerror=\"window.hacked = 1\">",
    "'><svg onload=window.hacked=1>",
    "{{script}}{{data}}",
    "<!--<script>",
    "]]></style><b>bold</b>",
    "javascript:window.hacked=1",
    "\u{1b}[2J\u{1b}]0;title\u{7}\u{9b}31m",
    "line\u{2028}separator\u{2029}paragraph\r\nnext\tcell",
    "\u{202e}txet desrever\u{2066}",
    "\\ud800 \\u0000 \\x1b[31m",
    "\0\u{1}\u{8}\u{7f}\u{feff}\u{200b}",
    "&lt;b&gt; &amp;amp; &#x27;",
    "日本語 👩‍👩‍👧 ẞ",
];

/// A history whose every text is hostile, linearizable, and faults that are.
pub(crate) fn hostile() -> (KvHistory, Vec<Fault>) {
    let mut builder = KvBuilder::new();
    let mut time = 0;
    for key in HOSTILE {
        let mut state = String::new();
        for text in HOSTILE {
            builder.append(1, key, text, time, Some(time + 500));
            state.push_str(text);
            builder.get(2, key, time + 600, Some((&state, time + 900)));
            time += 1_000;
        }
    }
    let fault = |text: &&str| Fault {
        from: 500,
        to: 90_000,
        label: (*text).to_owned(),
        group: (*text).to_owned(),
        targets: vec![(*text).to_owned()],
    };
    (builder.finish().unwrap(), HOSTILE.iter().map(fault).collect())
}
