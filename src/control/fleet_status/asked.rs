//! A question that one server of a fleet asks another, and its answer, as they travel.
//!
//! The question is that of `GET /v1/explain`, and the answer is what that call would answer. Both come
//! from another machine, so they are read into the same types as those of a client, and no further.

use serde::{Deserialize, Serialize};

use crate::explain::{ExplainQuestion, Explanation};
use crate::fleet::status_carrier::LONGEST_ANSWER;

/// Most regions that a question assumes to be down.
const MOST_DOWN: usize = 256;

/// A question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskedQuestion {
    name: String,
    #[serde(rename = "type")]
    rtype: String,
    client: String,
    #[serde(default)]
    down: Vec<String>,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AskedAnswer {
    /// The explanation.
    Explained(Box<Explanation>),
    /// Why there is none: a sentence.
    Refused(String),
}

impl AskedQuestion {
    /// The form in which a question travels.
    pub fn of(question: &ExplainQuestion) -> AskedQuestion {
        AskedQuestion {
            name: question.name.to_string(),
            rtype: question.rtype.to_string(),
            client: question.client.to_string(),
            down: question.down.clone(),
        }
    }

    /// The wire form.
    pub fn write(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads a question.
    ///
    /// # Errors
    /// A sentence: it is no question.
    pub fn read(octets: &[u8]) -> Result<ExplainQuestion, String> {
        let asked: AskedQuestion = serde_json::from_slice(octets)
            .map_err(|error| format!("it is no question: {error}"))?;
        if asked.down.len() > MOST_DOWN {
            return Err(format!("it has more than {MOST_DOWN} regions"));
        }
        let client = asked.client.parse();
        Ok(ExplainQuestion {
            name: asked.name.parse().map_err(|_| no_part("name"))?,
            rtype: asked.rtype.parse().map_err(|_| no_part("type"))?,
            client: client.map_err(|_| no_part("client"))?,
            down: asked.down,
        })
    }
}

fn no_part(part: &str) -> String {
    format!("its {part} cannot be read")
}

impl AskedAnswer {
    /// The wire form, at most [`LONGEST_ANSWER`].
    pub fn write(&self) -> Vec<u8> {
        let octets = serde_json::to_vec(self).unwrap_or_default();
        if octets.len() <= LONGEST_ANSWER {
            return octets;
        }
        let sentence = format!(
            "the explanation has {} octets, and {LONGEST_ANSWER} can be carried; \
             ask that server's own admin API",
            octets.len()
        );
        serde_json::to_vec(&AskedAnswer::Refused(sentence)).unwrap_or_default()
    }

    /// Reads an answer.
    ///
    /// # Errors
    /// A clause: it is no answer.
    pub fn read(octets: &[u8]) -> Result<AskedAnswer, String> {
        serde_json::from_slice(octets).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_arrives_as_it_was_asked() {
        let question = ExplainQuestion {
            name: "www.example.com".parse().unwrap(),
            rtype: "AAAA".parse().unwrap(),
            client: "203.0.113.0/24".parse().unwrap(),
            down: vec!["fra".into()],
        };
        let read = AskedQuestion::read(&AskedQuestion::of(&question).write()).unwrap();
        assert_eq!(AskedQuestion::of(&read), AskedQuestion::of(&question));
        for wrong in [
            "",
            "{}",
            r#"{"name": "a..b", "type": "A", "client": "192.0.2.1"}"#,
            r#"{"name": "a", "type": "!", "client": "192.0.2.1"}"#,
            r#"{"name": "a", "type": "A", "client": "nobody"}"#,
        ] {
            assert!(AskedQuestion::read(wrong.as_bytes()).is_err(), "{wrong}");
        }
        let many = AskedQuestion {
            down: vec![String::new(); MOST_DOWN + 1],
            ..AskedQuestion::of(&question)
        };
        assert!(AskedQuestion::read(&many.write()).is_err());
    }

    #[test]
    fn an_answer_that_is_too_long_says_so() {
        let answer = AskedAnswer::Refused("x".repeat(LONGEST_ANSWER));
        let Ok(AskedAnswer::Refused(sentence)) = AskedAnswer::read(&answer.write()) else {
            panic!("it is a refusal");
        };
        assert!(sentence.contains("ask that server's own admin API"));
    }
}
