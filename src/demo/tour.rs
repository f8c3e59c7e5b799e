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

/// Queries to try: name, type, a client subnet, and where that client is.
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

/// The text that the demo prints after the ready line.
pub struct DemoTour {
    regions: Vec<DemoRegionSettings>,
    steps: Vec<TourStep>,
    places: DemoPaths,
}

/// One query and its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TourStep {
    /// The arguments of dig.
    pub question: String,
    /// The output of dig.
    pub answer: String,
    /// Where the client is.
    pub client: String,
}

impl DemoTour {
    /// Computes every answer from the snapshot that will be served.
    pub fn of(loaded: &LoadedState, regions: &[Arc<DemoRegion>], places: &DemoPaths) -> DemoTour {
        let regions = regions.iter().map(|region| region.shown.clone()).collect();
        DemoTour {
            regions,
            steps: steps(&loaded.snapshot),
            places: places.clone(),
        }
    }

    /// Prints the regions, the queries and the commands, ready to be pasted. `with_traffic`: the
    /// demo sends queries, too.
    pub fn print(&self, dns: SocketAddr, admin: &str, with_traffic: bool) {
        say!();
        self.print_regions();
        say!();
        self.print_queries(dns);
        say!();
        self.print_commands(admin);
        if with_traffic {
            let rate = traffic::PER_SECOND;
            say!(
                "traffic: {rate} queries a second from clients all over the world; --no-traffic turns them off"
            );
        }
        say!("end:     Ctrl-C");
        say!();
    }

    fn print_regions(&self) {
        let mut rows = Vec::new();
        for region in &self.regions {
            rows.push(vec![
                region.name.clone(),
                region.city.clone(),
                self.url(region),
            ]);
        }
        TextOutput::stdout().table(&["region", "pretends to be in", "serves"], &rows);
    }

    fn print_queries(&self, dns: SocketAddr) {
        let dig = format!("dig @{} -p {} +short", dns.ip(), dns.port());
        let mut rows = Vec::new();
        for step in &self.steps {
            rows.push(vec![
                format!("{dig} {}", step.question),
                format!("# {}", step.answer),
                step.client.clone(),
            ]);
        }
        TextOutput::stdout().table(&["try", "# expect", "client"], &rows);
    }

    fn print_commands(&self, admin: &str) {
        let to = format!("--admin http://{admin}");
        let first = match self.regions.first() {
            Some(region) => self.url(region),
            None => String::new(),
        };
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
    }

    /// The address of a region's web server.
    fn url(&self, region: &DemoRegionSettings) -> String {
        format!("http://{}:{}/", region.address, self.places.port)
    }
}

/// Every query with its answer.
pub fn steps(snapshot: &Snapshot) -> Vec<TourStep> {
    let mut steps = Vec::new();
    for (name, rtype, subnet, client) in QUESTIONS {
        if let Some(explanation) = explained(snapshot, name, rtype, subnet) {
            steps.push(TourStep {
                question: format!("{name:16} {rtype:4} +subnet={subnet}"),
                answer: answer(&explanation),
                client: (*client).to_owned(),
            });
        }
    }
    steps
}

/// The explanation of one query; `None` if it cannot be explained.
fn explained(snapshot: &Snapshot, name: &str, rtype: &str, subnet: &str) -> Option<Explanation> {
    let question = ExplainQuestion {
        name: name.parse().ok()?,
        rtype: rtype.parse().ok()?,
        client: subnet.parse().ok()?,
        down: Vec::new(),
    };
    explain(snapshot, &question, 0).ok()
}

/// The answers that dig may print, in one line.
fn answer(explanation: &Explanation) -> String {
    let endpoints = explanation
        .service
        .as_ref()
        .map_or(&[][..], |service| &service.endpoints);
    let mut names = Vec::new();
    for endpoint in endpoints {
        names.push(endpoint.endpoint.clone());
    }
    match explanation.records.first() {
        Some(record) if record.rtype == "CNAME" => {
            format!("{}.", record.data.trim_end_matches('.'))
        }
        _ => names.join(" or "),
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
