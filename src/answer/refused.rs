//! Replies that refuse: names that are not ours, zones that are not for this client, other classes.
//!
//! REFUSED says that the server does not answer this, whatever the data are; an extended error says
//! why (RFC 8914). An alias that leads to such a name is left as it is.

use super::disposition::Disposition;
use super::policy::ZoneAccess;
use super::solve::{ChainName, Solver};
use crate::dns::Rcode;
use crate::dns::reply_opt::ExtendedError;

impl<const SIGNED: bool> Solver<'_, '_, '_, '_, SIGNED> {
    #[cold]
    pub(super) fn refuse(&mut self) -> Disposition {
        self.reply.rcode = Rcode::Refused;
        self.reply.error = Some(&ExtendedError::NOT_AUTHORITATIVE);
        Disposition::Refused
    }

    /// Whether access rules keep this client out of the name's zone. This looks the name up a
    /// second time, so that servers without such rules do not pay for it.
    #[cold]
    pub(super) fn is_prohibited(&self, zones: &ZoneAccess, current: &ChainName<'_>) -> bool {
        let zone = self.context.catalog().names.look_up(current.name).zone();
        zone.is_some_and(|zone| !zones.admits(zone, *self.source))
    }

    /// Refuses a name whose zone is not for this client. An alias into such a zone is not followed.
    #[cold]
    pub(super) fn prohibit(&mut self, hop: usize) -> Disposition {
        if hop > 0 {
            return Disposition::Static;
        }
        self.reply.rcode = Rcode::Refused;
        self.reply.error = Some(&ExtendedError::PROHIBITED);
        Disposition::Refused
    }

    /// Answers a question of another class, and refuses zone transfers.
    #[cold]
    pub(super) fn solve_non_internet(&mut self) -> Disposition {
        if !self.query.question.is_internet()
            && let Some(disposition) = self.solve_chaos()
        {
            return disposition;
        }
        self.reply.rcode = Rcode::Refused;
        Disposition::Refused
    }
}
