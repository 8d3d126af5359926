//! The explanation as JSON.

use serde_json::{Value, json};

use crate::verdict::Explanation;

impl Explanation {
    /// The explanation as a JSON object: `verdict`, `key`, `kind`, `sentence`, `operations`, `context` and
    /// `minimal`. Operations are named by their index in the history.
    pub fn to_json(&self) -> Value {
        json!({
            "verdict": "not linearizable",
            "key": self.key,
            "kind": self.kind.name(),
            "sentence": self.sentence,
            "operations": self.operations,
            "context": self.context,
            "minimal": self.minimal,
        })
    }
}
