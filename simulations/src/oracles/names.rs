//! What the oracles are called, and what it means for a run if one finds something.

/// The oracle that no view regresses.
pub const REGRESS: &str = "no view regresses";
/// The oracle that only what was said is shown.
pub const AUTHENTIC: &str = "only what was said is shown";
/// The oracle that delivered is delivered.
pub const MESSAGES: &str = "delivered is delivered, once";
/// The oracle that live nodes are not shown lost.
pub const FALSE_LOST: &str = "live nodes are not shown lost";
/// The oracle that everybody agrees in the end.
pub const AGREEMENT: &str = "agreement";
/// The oracle that a run meets the bounds of its scenario.
pub const BOUND: &str = "bounds of the scenario";
/// The oracle that tables stay bounded.
pub const TABLES: &str = "tables stay bounded";
/// The oracle that nobody sees what is withheld.
pub const ACCESS: &str = "nobody sees what is withheld";
/// The oracle that WATCHER INFORMATION counts what was given, and that this is no more than may be asked for.
pub const COUNTED: &str = "what is given is counted, and limited";
/// The oracle that watcher and presentity say the same of a SUBSCRIPTION.
pub const SIDES: &str = "both sides of a subscription agree";
/// The oracle that DELIVERY RULES hold from when they are set on.
pub const DENIED: &str = "what is denied is not stored";
/// Oracles of what must never happen.
pub const SAFETY: [&str; 7] = [REGRESS, AUTHENTIC, MESSAGES, DENIED, TABLES, ACCESS, COUNTED];
/// Oracles of what must come to be, in time. Each oracle is of one kind or the other.
pub const LIVENESS: [&str; 4] = [FALSE_LOST, AGREEMENT, SIDES, BOUND];
