//! The tour: what fails in it, and what clients see of that.
//!
//! A region dies, which clients should notice: they are sent elsewhere, by all nameservers. Then a
//! nameserver is killed, one is cut off, one lies, and NATS is gone, which clients should not notice at
//! all. After each step it is told what they saw.

use std::time::Duration;

use super::resolvers::{FleetResolver, FleetTraffic};
use super::stage::FleetStage;
use super::teller::StoryTeller;
use super::truth::{FleetClient, HomeState, TallySums};
use crate::demo::vantage::VantageWay;
use crate::terminal::TextStyle::{Bold, Faint, Plain};

/// How long something stays broken after its effect was seen.
const WHILE: Duration = Duration::from_secs(2);

/// The nameservers of the steps.
const LIAR: usize = 0;
const KILLED: usize = 1;
const CUT_OFF: usize = 2;

/// The stage, and who watches it.
pub struct FleetStory<'s> {
    /// What is moved.
    pub stage: &'s mut FleetStage,
    /// Who asks.
    pub traffic: &'s FleetTraffic,
    /// Asks for the story itself.
    pub resolver: &'s FleetResolver,
    /// A client next to the region that dies.
    pub client: &'s FleetClient,
    /// Who tells it.
    pub teller: &'s StoryTeller,
}

impl FleetStory<'_> {
    /// Plays every step.
    ///
    /// # Errors
    /// A sentence: something did not happen in time.
    pub async fn play(&mut self) -> Result<(), String> {
        wait_a_while().await;
        self.a_region_dies().await?;
        self.a_nameserver_is_killed().await?;
        self.one_is_cut_off().await?;
        self.one_lies().await?;
        self.nats_is_killed().await
    }

    async fn a_region_dies(&mut self) -> Result<(), String> {
        let before = self.begin("a region dies");
        self.break_home().await?;
        wait_a_while().await;
        self.mend_home().await?;
        self.end(before);
        Ok(())
    }

    async fn a_nameserver_is_killed(&mut self) -> Result<(), String> {
        let before = self.begin("a nameserver is killed");
        let name = self.name(KILLED);
        self.stage.kill_server(KILLED);
        self.say(&format!(
            "{name} is killed (SIGKILL); clients ask the others"
        ));
        self.stage
            .await_report(LIAR, "misses one", |report| report.fresh_groups == 2)
            .await?;
        self.say("two of three go on deciding");
        wait_a_while().await;
        self.stage.start_server(KILLED)?;
        self.stage.await_ready(KILLED).await?;
        self.say(&format!(
            "{name} is started again; it has heard the others before its first answer"
        ));
        self.stage.await_all_votes().await?;
        self.end(before);
        Ok(())
    }

    async fn one_is_cut_off(&mut self) -> Result<(), String> {
        let before = self.begin("a nameserver is cut off");
        let name = self.name(CUT_OFF);
        self.stage.cut(CUT_OFF, true);
        self.say(&format!(
            "{name} loses its uplink: its probes reach no region, its votes nobody; clients near it \
             still ask it"
        ));
        self.stage
            .await_report(CUT_OFF, "knows that it is cut off", |report| {
                !report.quorum && !report.linked
            })
            .await?;
        self.say(&format!(
            "{name} hears nobody, so it decides nothing and keeps what was agreed last"
        ));
        wait_a_while().await;
        self.stage.cut(CUT_OFF, false);
        self.stage.await_all_votes().await?;
        self.say(&format!("{name} is back"));
        self.end(before);
        Ok(())
    }

    async fn one_lies(&mut self) -> Result<(), String> {
        let before = self.begin("a nameserver lies");
        let name = self.name(LIAR);
        self.stage.set_way(LIAR, VantageWay::Inverted);
        self.say(&format!(
            "{name} votes from now on that every region is down"
        ));
        self.stage
            .await_report(LIAR, "is outvoted", |report| report.outvoted > 1)
            .await?;
        self.say("it is outvoted, and answers like the others");
        wait_a_while().await;
        let city = self.city();
        self.say(&format!("now {city} dies, and {name} says that it is up"));
        self.break_home().await?;
        wait_a_while().await;
        self.stage.set_way(LIAR, VantageWay::Open);
        self.say(&format!("{name} tells the truth again"));
        self.mend_home().await?;
        self.end(before);
        Ok(())
    }

    async fn nats_is_killed(&mut self) -> Result<(), String> {
        let before = self.begin("NATS is gone");
        self.stage.kill_nats();
        self.say("the only NATS server is killed");
        for index in 0..self.stage.servers.len() {
            self.stage
                .await_report(index, "hears nobody", |report| !report.quorum)
                .await?;
        }
        self.say("nobody hears anybody, so everything stays as it was agreed last");
        wait_a_while().await;
        self.stage.start_nats().await?;
        self.stage.await_all_votes().await?;
        self.say("NATS is back, and all vote again");
        self.end(before);
        Ok(())
    }

    /// Breaks the region and waits until every nameserver has noticed.
    async fn break_home(&mut self) -> Result<(), String> {
        let city = self.city();
        self.set_home(HomeState::Moving);
        self.stage.home.break_down();
        self.say(&format!("{city} is dead"));
        let took = self.await_answers(false).await?;
        self.set_home(HomeState::Down);
        let seconds = took.as_secs_f64();
        self.say(&format!(
            "all three send its clients elsewhere, {seconds:.2} s later; naming {city} is wrong from \
             now on"
        ));
        Ok(())
    }

    /// Mends the region and waits until every nameserver has noticed.
    async fn mend_home(&mut self) -> Result<(), String> {
        let city = self.city();
        self.set_home(HomeState::Moving);
        self.stage.home.mend();
        let took = self.await_answers(true).await?;
        self.set_home(HomeState::Up);
        let seconds = took.as_secs_f64();
        self.say(&format!(
            "{city} is mended; its clients are back {seconds:.2} s later"
        ));
        Ok(())
    }

    async fn await_answers(&self, home_is_up: bool) -> Result<Duration, String> {
        let answers = self
            .stage
            .await_answers(self.resolver, self.client, home_is_up);
        answers.await
    }

    fn name(&self, index: usize) -> String {
        let Some(server) = self.stage.servers.get(index) else {
            return String::new();
        };
        format!("{} in {}", server.shown.voter, server.shown.city)
    }

    /// Tells the headline of a step; returns what clients saw until now.
    fn begin(&self, headline: &str) -> TallySums {
        self.teller.print(Plain, "");
        self.teller.say(Bold, headline);
        self.sums()
    }

    fn set_home(&self, state: HomeState) {
        self.traffic.tally().set_home(state);
    }

    /// What clients saw until now.
    fn sums(&self) -> TallySums {
        self.traffic.tally().sums()
    }

    /// The city of the region that dies.
    fn city(&self) -> String {
        self.stage.home.shown.city.clone()
    }

    fn say(&self, sentence: &str) {
        self.teller.say(Plain, sentence);
    }

    /// Tells what clients saw of a step.
    fn end(&self, before: TallySums) {
        let now = self.sums();
        let asked = now.asked - before.asked;
        let again = now.asked_again - before.asked_again;
        let (lost, wrong) = (now.lost - before.lost, now.wrong - before.wrong);
        let mut sentence = format!("clients: {asked} queries, {lost} lost, {wrong} wrong");
        if again > 0 {
            sentence.push_str(&format!("; {again} times another nameserver was asked"));
        }
        self.teller.say(Faint, &sentence);
    }
}

async fn wait_a_while() {
    tokio::time::sleep(WHILE).await;
}
