//! The text that the demo prints at its start.
//!
//! It lists the regions, `dig` commands with the answers to expect, and commands that break, drain
//! or explain. The answers come from the loaded snapshot. The narrator compares them after each
//! change.

use std::net::SocketAddr;
use std::sync::Arc;

use super::region::DemoRegion;
use super::settings::{DemoPaths, DemoRegionSettings};
use super::traffic;
use crate::answer::Snapshot;
use crate::control::LoadedState;
use crate::explain::{ExplainQuestion, Explanation, explain};
use crate::terminal::TextOutput;
use crate::terminal::say;

/// A question to try: name, type, the subnet of somebody real, and who that is.
const QUESTIONS: &[(&str, &str, &str, &str)] = &[
    ("www.example.com", "A", "193.0.0.0/21", "Netherlands"),
    ("www.example.com", "A", "128.59.0.0/16", "New York"),
    ("www.example.com", "A", "200.160.0.0/20", "Brazil"),
    ("www.example.com", "A", "14.139.0.0/16", "India"),
    ("www.example.com", "A", "133.11.0.0/16", "Japan"),
    ("www.example.com", "A", "139.130.0.0/16", "Australia"),
    ("www.example.com", "A", "196.25.0.0/16", "South Africa"),
    (
        "www.example.com",
        "AAAA",
        "2001:67c:2e8::/48",
        "Netherlands",
    ),
    ("api.example.com", "A", "128.59.0.0/16", "80 of 100"),
    ("cdn.example.com", "A", "133.11.0.0/16", "by name"),
    ("data.example.com", "A", "132.64.0.0/16", "Israel, fenced"),
    ("example.com", "A", "193.0.0.0/21", "the bare domain"),
];

/// The text after the ready line.
pub struct DemoTour {
    regions: Vec<DemoRegionSettings>,
    steps: Vec<TourStep>,
    places: DemoPaths,
}

/// One question and its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TourStep {
    /// The arguments of dig.
    pub question: String,
    /// The output of dig.
    pub answer: String,
    /// The client.
    pub who: String,
}

impl DemoTour {
    /// Works out every answer from what is about to be served.
    pub fn of(loaded: &LoadedState, regions: &[Arc<DemoRegion>], places: &DemoPaths) -> DemoTour {
        let regions = regions.iter().map(|region| region.shown.clone()).collect();
        DemoTour {
            regions,
            steps: steps(&loaded.snapshot),
            places: places.clone(),
        }
    }

    /// Prints regions and questions, ready to be pasted; `with_traffic`: the demo asks, too.
    pub fn print(&self, dns: SocketAddr, admin: &str, with_traffic: bool) {
        let output = TextOutput::stdout();
        say!();
        let url = |region: &DemoRegionSettings| {
            format!("http://{}:{}/", region.address, self.places.port)
        };
        let rows = self
            .regions
            .iter()
            .map(|region| vec![region.name.clone(), region.city.clone(), url(region)]);
        output.table(
            &["region", "pretends to be in", "serves"],
            &rows.collect::<Vec<_>>(),
        );
        say!();
        let dig = format!("dig @{} -p {} +short", dns.ip(), dns.port());
        let rows = self.steps.iter().map(|step| {
            vec![
                format!("{dig} {}", step.question),
                format!("# {}", step.answer),
                step.who.clone(),
            ]
        });
        output.table(&["try", "# expect", "client"], &rows.collect::<Vec<_>>());
        let to = format!("--admin http://{admin}");
        let first = self.regions.first().map_or(String::new(), url);
        say!();
        say!("watch:   http://{admin}/ in a browser");
        say!("break:   curl -X POST {first}break");
        say!("mend:    curl -X POST {first}mend");
        let program = std::env::args()
            .next()
            .unwrap_or_else(|| "meridian".to_owned());
        say!(
            "drain:   {program} drain fra --reason \"trying it\" {to} --token-file {}/token",
            self.places.folder
        );
        say!("why:     {program} explain www.example.com --client 193.0.0.0/21 {to}");
        say!("status:  {program} status {to}");
        if with_traffic {
            let rate = traffic::PER_SECOND;
            say!(
                "traffic: {rate} queries a second as from people all over the world; --no-traffic leaves them out"
            );
        }
        say!("end:     Ctrl-C");
        say!();
    }
}

/// Every question with its answer.
pub fn steps(snapshot: &Snapshot) -> Vec<TourStep> {
    let step = |&(name, rtype, subnet, who): &(&str, &str, &str, &str)| {
        let question = ExplainQuestion {
            name: name.parse().ok()?,
            rtype: rtype.parse().ok()?,
            client: subnet.parse().ok()?,
            down: Vec::new(),
        };
        let explanation = explain(snapshot, &question, 0).ok()?;
        let question = format!("{name:16} {rtype:4} +subnet={subnet}");
        Some(TourStep {
            question,
            answer: answer(&explanation),
            who: who.to_owned(),
        })
    };
    QUESTIONS.iter().filter_map(step).collect()
}

/// What dig prints, as far as one reply tells.
fn answer(explanation: &Explanation) -> String {
    let endpoints = explanation
        .service
        .as_ref()
        .map_or(&[][..], |service| &service.endpoints);
    let text: Vec<String> = endpoints
        .iter()
        .map(|endpoint| endpoint.endpoint.clone())
        .collect();
    match explanation.records.first() {
        Some(record) if record.rtype == "CNAME" => {
            format!("{}.", record.data.trim_end_matches('.'))
        }
        _ => text.join(" or "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_question_has_its_answer_from_the_right_continent() {
        let steps = steps(&super::super::tests::loaded().snapshot);
        let answers: Vec<&str> = steps.iter().map(|step| step.answer.as_str()).collect();
        let expected = [
            "127.0.1.1",
            "127.0.2.1",
            "127.0.3.1",
            "127.0.4.1",
            "127.0.5.1",
            "127.0.6.1",
            "127.0.7.1",
            "2001:db8:1::80",
            "127.0.2.2 or 127.0.2.3",
            "asia.cdn.example.net.",
            "127.0.4.1",
            "127.0.1.1",
        ];
        assert_eq!(answers, expected);
    }
}
