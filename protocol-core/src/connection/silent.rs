//! The ordering domains in which the peer is silent: it has not answered a fence, and nothing that may
//! be an answer came since.
//!
//! What is told about a silent peer is in `receive.rs`; `request.rs` places the fences.

use crate::connection::key::Domain;

/// A bit for each domain. No further fence is sent in a silent domain: each would put one more key in
/// doubt, until no key is left whose answer proves anything.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(crate) struct SilentDomains(u16);

impl SilentDomains {
    pub(crate) const NONE: Self = Self(0);

    const fn bit(domain: Domain) -> u16 {
        1 << (domain.number() & 15)
    }

    pub(crate) const fn has(self, domain: Domain) -> bool {
        self.0 & Self::bit(domain) != 0
    }

    pub(crate) const fn begin(&mut self, domain: Domain) {
        self.0 |= Self::bit(domain);
    }

    pub(crate) const fn end(&mut self, domain: Domain) {
        self.0 &= !Self::bit(domain);
    }
}
