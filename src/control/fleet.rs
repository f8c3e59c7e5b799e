//! This server's part in its fleet: a task that listens, decides and publishes.
//!
//! The task owns the [`FleetMember`]. It takes the own votes from the monitor, hears the views of
//! others through a [`VoteCarrier`], and publishes what follows as a [`FleetNow`], which readers take
//! without a lock. Wherever control reads the results of probes, `FleetHandle::overrule` puts what
//! the fleet has agreed in the place of what this server sees alone. So brake, ramps and orders work
//! on agreed health, and without `[fleet]` nothing is different.
//!
//! Deciding takes at most a tenth of a core: after a long turn the next one waits.

mod agreed_votes;
pub mod differing;
pub mod leases;
mod memory;
mod news;
mod now;
pub mod orders;
pub mod report;
pub mod reports;
mod runner;
mod strangers;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::sync::watch;

pub use self::now::FleetNow;

use self::agreed_votes::AgreedVote;
use self::memory::MemoryKeeper;
use self::report::FleetReport;
use self::runner::{FleetRunner, RunnerInput, RunnerOutput};
use super::controller::Shared;
use super::process;
use crate::config::FleetConfig;
use crate::fleet::member::{FleetMember, MemberSettings};
use crate::fleet::nats::NatsSettings;
use crate::fleet::nats_kv::{KvBucket, KvSettings};
use crate::fleet::votes::VoteCarrier;
use crate::health::monitor::{HealthReport, TargetHealth};
use crate::health::probe::{AlpnProtocol, TrustStore};
use crate::health::quorum::{CheckVote, state_by_vote};
use crate::text::is_plain_name;

/// So many NATS servers keep the orders of a fleet, if there are so many.
const MOST_REPLICAS: usize = 3;
/// The longest that a start waits for the views of others.
const FIRST_VIEWS: Duration = Duration::from_secs(2);

/// What the rest of control knows of the fleet.
pub struct FleetHandle {
    now: Arc<ArcSwap<FleetNow>>,
    /// Rises when something else is agreed.
    version: watch::Receiver<u64>,
    /// Every other server has had the time to speak.
    has_heard: watch::Receiver<bool>,
    /// Another server of the same name is about to take over, so this one says nothing more.
    is_silent: Arc<AtomicBool>,
    config: FleetConfig,
}

impl FleetHandle {
    /// Joins a fleet, with a task of the current tokio runtime.
    ///
    /// # Errors
    /// A sentence: this server has no name that others could know it by, or TLS cannot be used.
    pub(super) fn join(config: &FleetConfig, shared: &Shared) -> Result<FleetHandle, String> {
        let settings = member_settings(config)?;
        let is_alone = config.servers.is_empty();
        let carrier = if is_alone {
            VoteCarrier::Local
        } else {
            VoteCarrier::nats(nats_settings(config, &settings.voter)?)
        };
        let epoch = random_number();
        let mut member = FleetMember::new(settings, epoch, Duration::ZERO);
        let mut keeper = None;
        if !is_alone {
            if let Some(directory) = &shared.view.load().directory {
                let memory = MemoryKeeper::load(directory, &config.name);
                member.recall(&memory, Duration::ZERO);
            }
            keeper = Some(MemoryKeeper::new(shared.state_writer.clone()));
        }
        let (version_sender, version) = watch::channel(0);
        let (heard_sender, has_heard) = watch::channel(is_alone);
        let is_silent = Arc::new(AtomicBool::new(false));
        let first = FleetNow {
            turned_at: Instant::now(),
            settled: Arc::default(),
            contrary: Arc::default(),
            own_version: 0,
            differing: Arc::default(),
            report: FleetReport::default(),
        };
        let now = Arc::new(ArcSwap::from_pointee(first));
        let runner = FleetRunner::new(
            member,
            carrier,
            RunnerInput {
                watch: shared.watch.clone(),
                view: shared.view.clone(),
                announcement: shared.announcement.clone(),
            },
            RunnerOutput {
                now: now.clone(),
                version: version_sender,
                has_heard: heard_sender,
                is_silent: is_silent.clone(),
                keeper,
            },
        );
        tokio::spawn(runner.run());
        Ok(FleetHandle {
            now,
            version,
            has_heard,
            is_silent,
            config: config.clone(),
        })
    }

    /// Waits until every other server has had the time to speak; not for long if the engine cannot be
    /// reached.
    pub(super) async fn first_views(&self) {
        let mut has_heard = self.has_heard.clone();
        let heard = has_heard.wait_for(|has_heard| *has_heard);
        let _ = tokio::time::timeout(FIRST_VIEWS, heard).await;
    }

    /// A new value means that something else is agreed.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.version.clone()
    }

    /// Whether the fleet was configured like this when the server joined it.
    pub(super) fn is_of(&self, config: Option<&FleetConfig>) -> bool {
        config == Some(&self.config)
    }

    /// Whether there are no NATS servers, so that this server is alone in it.
    pub fn is_alone(&self) -> bool {
        self.config.servers.is_empty()
    }

    /// Says nothing more, or speaks again.
    pub(super) fn be_silent(&self, is_silent: bool) {
        self.is_silent.store(is_silent, Ordering::SeqCst);
    }

    /// What the fleet says now.
    pub fn now(&self) -> Arc<FleetNow> {
        self.now.load_full()
    }

    /// Puts what is agreed in the place of what this server sees alone.
    pub(super) fn overrule(&self, seen: &mut HealthReport) {
        let now = self.now.load();
        if now.is_stuck() {
            return;
        }
        if seen.version == now.own_version {
            // Everywhere else, what is seen is what is agreed.
            for key in now.contrary.iter() {
                if let (Some(target), Some(agreed)) =
                    (seen.targets.get_mut(key), now.settled.get(key))
                {
                    overrule(target, agreed);
                }
            }
            return;
        }
        for (key, target) in &mut seen.targets {
            if let Some(agreed) = now.settled.get(key) {
                overrule(target, agreed);
            }
        }
    }
}

fn overrule(target: &mut TargetHealth, agreed: AgreedVote) {
    let own = CheckVote::of(target.state, target.held);
    target.outvoted = own.is_clear() && own != agreed.vote;
    if target.outvoted {
        target.lasting = agreed.since.elapsed();
    }
    target.state = state_by_vote(target.state, agreed.vote);
    target.held = false;
}

/// The way to a bucket of a fleet.
///
/// # Errors
/// A sentence: this server has no name that others could know it by, or TLS cannot be used.
pub(super) fn kv_settings(config: &FleetConfig, bucket: KvBucket) -> Result<KvSettings, String> {
    Ok(KvSettings {
        nats: nats_settings(config, &voter_of(config)?)?,
        replicas: config.servers.len().clamp(1, MOST_REPLICAS),
        bucket,
    })
}

/// Who this server is, and the way to the other servers; `None`: there are none.
///
/// # Errors
/// A sentence: this server has no name that others could know it by, or TLS cannot be used.
pub(super) fn status_settings(
    config: &FleetConfig,
) -> Result<(MemberSettings, Option<NatsSettings>), String> {
    let own = member_settings(config)?;
    if config.servers.is_empty() {
        return Ok((own, None));
    }
    let nats = nats_settings(config, &own.voter)?;
    Ok((own, Some(nats)))
}

/// The name of this server in its fleet.
///
/// # Errors
/// A sentence: none is stated, and the host name cannot be one.
pub(super) fn voter_of(config: &FleetConfig) -> Result<String, String> {
    if let Some(voter) = &config.voter {
        return Ok(voter.clone());
    }
    let host = process::host_name();
    let name = host.split('.').next().unwrap_or_default().to_owned();
    if is_plain_name(&name) {
        Ok(name)
    } else {
        Err(format!(
            "the host name \"{host}\" cannot name a server of a fleet; \
             state `voter` in [fleet]"
        ))
    }
}

fn member_settings(config: &FleetConfig) -> Result<MemberSettings, String> {
    let voter = voter_of(config)?;
    let group = config.group.as_ref().unwrap_or(&voter).clone();
    Ok(MemberSettings {
        fleet: config.name.clone(),
        group,
        voter,
        quorum: config.quorum,
    })
}

/// The way to the NATS servers of a fleet for the server `voter`.
///
/// # Errors
/// A sentence: TLS cannot be used.
pub(super) fn nats_settings(config: &FleetConfig, voter: &str) -> Result<NatsSettings, String> {
    let wants_tls = config.has_tls() || config.servers.iter().any(|server| server.is_tls);
    let mut tls = None;
    if wants_tls {
        let trust = match &config.authorities {
            Some(authorities) => authorities.trust().clone(),
            None => TrustStore::from_system()?.0,
        };
        let identity = config.identity.as_ref();
        tls = Some(trust.settings_with(identity, AlpnProtocol::Any));
    }
    let mut servers = Vec::with_capacity(config.servers.len());
    for server in &config.servers {
        servers.push(server.url());
    }
    let login = config.login.as_ref();
    Ok(NatsSettings {
        fleet: config.name.clone(),
        voter: voter.to_owned(),
        servers,
        tls,
        needs_tls: config.has_tls(),
        login: login.map(|login| (login.user.clone(), login.password.clone())),
    })
}

/// A number that no other process has.
pub(super) fn random_number() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::machine::HealthState;

    fn target(state: HealthState, held: bool) -> TargetHealth {
        TargetHealth {
            state,
            lasting: Duration::from_secs(60),
            observed_ago: None,
            last: None,
            not_made: None,
            settled: true,
            held,
            flip_possible_in: Duration::ZERO,
            outvoted: false,
        }
    }

    #[test]
    fn what_is_agreed_replaces_what_is_seen_and_keeps_warnings() {
        use CheckVote::{Down, Up};
        use HealthState as S;
        for (seen, held, agreed, state, outvoted) in [
            (S::Up, false, Up, S::Up, false),
            (S::Degraded, false, Up, S::Degraded, false),
            (S::Down, false, Up, S::Up, true),
            (S::Unknown, false, Up, S::Up, false),
            (S::Up, true, Up, S::Up, false),
            (S::Up, true, Down, S::Down, false),
            (S::Up, false, Down, S::Down, true),
            (S::Down, false, Down, S::Down, false),
        ] {
            let mut target = target(seen, held);
            let since = Instant::now();
            overrule(
                &mut target,
                AgreedVote {
                    vote: agreed,
                    since,
                },
            );
            assert_eq!(target.state, state, "{seen:?} {agreed:?}");
            assert_eq!(target.outvoted, outvoted, "{seen:?} {agreed:?}");
            assert!(!target.held);
            let is_new = target.lasting < Duration::from_secs(60);
            assert_eq!(is_new, outvoted, "it lasts since it was agreed");
        }
    }
}
