//! Why a message of the engine is not counted as a view.
//!
//! Anybody whom the engine lets publish can send anything, so a wrong message is nothing unusual: it
//! is counted by its kind, named once in the log, and changes nothing else. Every sentence says what
//! is wrong and, where somebody can do something, what.

use std::fmt;

/// Why octets are not a view of this fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ViewError {
    /// Longer than any view, in octets.
    TooLong(usize),
    /// It does not begin like a view.
    NoView,
    /// A view of another version.
    OtherVersion(u8),
    /// It ends before its stated length.
    CutOff,
    /// Its parts do not add up to its length.
    BadLength,
    /// Its checksum is wrong.
    Damaged,
    /// A view of this other fleet.
    OtherFleet(String),
    /// A name that no fleet, voter, group or region can have.
    BadName,
    /// Its checks are not in order, or not in their blocks.
    BadBlocks,
    /// Two bits that are no vote.
    BadVote,
    /// Its announcer does something that does not exist.
    BadAnnouncement,
    /// More checks than a view may have.
    TooManyChecks(usize),
    /// More regions than a view may have.
    TooManyRegions(usize),
}

impl ViewError {
    /// A word for metrics.
    pub fn word(&self) -> &'static str {
        match self {
            ViewError::TooLong(_) => "too_long",
            ViewError::NoView => "no_view",
            ViewError::OtherVersion(_) => "other_version",
            ViewError::CutOff => "cut_off",
            ViewError::OtherFleet(_) => "other_fleet",
            ViewError::BadLength
            | ViewError::Damaged
            | ViewError::BadName
            | ViewError::BadBlocks
            | ViewError::BadVote
            | ViewError::BadAnnouncement
            | ViewError::TooManyChecks(_)
            | ViewError::TooManyRegions(_) => "damaged",
        }
    }
}

impl fmt::Display for ViewError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ViewError::TooLong(octets) => {
                let most = super::bounds::MOST_OCTETS;
                write!(f, "has {octets} octets, and a view has at most {most}")
            }
            ViewError::NoView => f.write_str("is no view: somebody else publishes on this subject"),
            ViewError::OtherVersion(version) => write!(
                f,
                "is of version {version}, and this server reads versions 1 and 2; \
                 they understand each other when both run the same release"
            ),
            ViewError::CutOff => f.write_str("is cut off"),
            ViewError::BadLength => f.write_str("is damaged: its parts do not fill its length"),
            ViewError::Damaged => f.write_str("is damaged: its checksum is wrong"),
            ViewError::OtherFleet(name) => write!(f, "is of the fleet \"{name}\""),
            ViewError::BadName => f.write_str("is damaged: it has a name that cannot be"),
            ViewError::BadBlocks => f.write_str("is damaged: its checks are out of order"),
            ViewError::BadVote => f.write_str("is damaged: it has a vote that does not exist"),
            ViewError::BadAnnouncement => {
                f.write_str("is damaged: its announcer is in no state that exists")
            }
            ViewError::TooManyChecks(count) => {
                let most = super::bounds::MOST_CHECKS;
                write!(f, "has {count} checks, and a view has at most {most}")
            }
            ViewError::TooManyRegions(count) => {
                let most = super::bounds::MOST_REGIONS;
                write!(f, "has {count} regions, and a view has at most {most}")
            }
        }
    }
}

/// Why a view is not counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HearError {
    /// It is no view of this fleet.
    View(ViewError),
    /// It came under the subject of another voter.
    OtherVoter {
        /// The voter of the subject.
        subject: String,
        /// The voter that the view names.
        voter: String,
    },
    /// An older view of the same process, which came late.
    Late,
    /// Two servers have this name.
    TwoServers {
        /// The name.
        voter: String,
    },
    /// There are too many voters.
    TooMany,
}

impl HearError {
    /// A word for metrics.
    pub fn word(&self) -> &'static str {
        match self {
            HearError::View(error) => error.word(),
            HearError::OtherVoter { .. } => "other_voter",
            HearError::Late => "late",
            HearError::TwoServers { .. } => "two_servers",
            HearError::TooMany => "too_many_voters",
        }
    }

    /// All words.
    pub const WORDS: [&'static str; 10] = [
        "too_long",
        "no_view",
        "other_version",
        "cut_off",
        "other_fleet",
        "damaged",
        "other_voter",
        "late",
        "two_servers",
        "too_many_voters",
    ];
}

impl fmt::Display for HearError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HearError::View(error) => write!(f, "the message {error}"),
            HearError::OtherVoter { subject, voter } => write!(
                f,
                "the view names the voter \"{voter}\", but \"{subject}\" published it; \
                 the engine's permissions should allow each voter its own subject only"
            ),
            HearError::Late => f.write_str("the view came after a newer one of the same voter"),
            HearError::TwoServers { voter } => write!(
                f,
                "two servers are named \"{voter}\", so neither is counted; \
                 give each its own `voter` in [fleet]"
            ),
            HearError::TooMany => {
                let most = super::bounds::MOST_VOTERS;
                write!(
                    f,
                    "there are {most} fresh voters already, and no room for more"
                )
            }
        }
    }
}

impl From<ViewError> for HearError {
    fn from(error: ViewError) -> HearError {
        HearError::View(error)
    }
}
