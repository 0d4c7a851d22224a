//! Leases: a time during which the keys attached to one live. The writer owns them; nobody else keeps time for them.
//!
//! Time is the store's own: milliseconds for which it has been open in all. A lease therefore outlives the time during which the
//! store was away, in which nobody could have renewed it, and no step of the machine's clock shortens one.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use tokio::time::Instant;

use super::refusal::Refusal;

/// The shortest time to live, in seconds. etcd raises shorter ones to this with its default election timeout
/// (`minTTL` in `server/etcdserver/server.go`: 1.5 election timeouts of 1 s, rounded up).
const MIN_TTL: i64 = 2;

/// The longest, in seconds (etcd: `lease.MaxLeaseTTL`).
const MAX_TTL: i64 = 9_000_000_000;

/// How late the end of a lease may be seen before it is the store that was late: its disk stood still, its file was rewritten, or
/// its process was stopped. A wake-up on a busy machine is late by much less.
const LATE: Duration = Duration::from_millis(500);

/// A time during which keys live.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lease {
    /// Seconds; from the grant, or from the last renewal.
    pub(crate) ttl: i64,
    pub(crate) deadline: Instant,
    /// Whether the file says that it was renewed after its end was written there. A renewal only has to be written if it does
    /// not: after a crash such a lease begins anew, which is never too short.
    pub(crate) renewed: bool,
}

/// What the file says of a lease: `(seconds granted, store time of its end in milliseconds, renewed)`.
pub(crate) type Stored = (i64, i64, bool);

/// All leases, and the time.
#[derive(Debug)]
pub(crate) struct Leases {
    by_id: HashMap<i64, Lease>,
    by_deadline: BTreeSet<(Instant, i64)>,
    opened: Instant,
    /// Store time when it was opened.
    clock: i64,
}

impl Leases {
    /// None yet; the store had been open for `clock` milliseconds before.
    pub(crate) fn new(clock: i64) -> Self {
        Self { by_id: HashMap::new(), by_deadline: BTreeSet::new(), opened: Instant::now(), clock }
    }

    pub(crate) fn by_id(&self) -> &HashMap<i64, Lease> {
        &self.by_id
    }

    /// Store time in milliseconds.
    pub(crate) fn clock(&self) -> i64 {
        self.clock.saturating_add(i64::try_from(self.opened.elapsed().as_millis()).unwrap_or(i64::MAX))
    }

    /// Takes up a lease where the file left it.
    pub(crate) fn restore(&mut self, id: i64, (ttl, end, renewed): Stored) {
        let whole = ttl.saturating_mul(1000);
        let remaining = if renewed { whole } else { end.saturating_sub(self.clock).clamp(0, whole) };
        let remaining = Duration::from_millis(remaining.unsigned_abs());
        self.put(id, Lease { ttl, deadline: later(self.opened, remaining), renewed: false });
    }

    /// A new lease; the id 0 asks for one to be chosen. Returns its id and seconds to live.
    pub(crate) fn grant(&mut self, id: i64, ttl: i64) -> Result<(i64, i64), Refusal> {
        if ttl > MAX_TTL {
            return Err(Refusal::LeaseTtlTooLarge);
        }
        if self.by_id.contains_key(&id) {
            return Err(Refusal::LeaseExists);
        }
        let id = if id == 0 { self.unused_id() } else { id };
        let ttl = ttl.max(MIN_TTL);
        let deadline = later(Instant::now(), Duration::from_secs(ttl.unsigned_abs()));
        self.put(id, Lease { ttl, deadline, renewed: false });
        Ok((id, ttl))
    }

    fn unused_id(&self) -> i64 {
        std::iter::repeat_with(|| crate::dice::draw(1..=i64::MAX))
            .find(|id| !self.by_id.contains_key(id))
            .expect("there are more numbers than leases")
    }

    /// Gives a lease its whole time again. Returns its seconds, and whether the file has to be told.
    pub(crate) fn renew(&mut self, id: i64) -> Option<(i64, bool)> {
        let mut lease = *self.by_id.get(&id)?;
        let now = Instant::now();
        if lease.deadline <= now {
            // It has ended; that it is still here means only that the writer has not come to it.
            return None;
        }
        let news = !lease.renewed;
        lease.deadline = later(now, Duration::from_secs(lease.ttl.unsigned_abs()));
        lease.renewed = true;
        self.put(id, lease);
        Some((lease.ttl, news))
    }

    /// Seconds that are left of a lease, and that it was granted for.
    pub(crate) fn time_to_live(&self, id: i64) -> Option<(i64, i64)> {
        let lease = self.by_id.get(&id)?;
        let left = lease.deadline.saturating_duration_since(Instant::now());
        Some((i64::try_from(left.as_secs()).unwrap_or(i64::MAX), lease.ttl))
    }

    /// Every lease, the first to end first.
    pub(crate) fn ids(&self) -> Vec<i64> {
        self.by_deadline.iter().map(|(_, id)| *id).collect()
    }

    pub(crate) fn remove(&mut self, id: i64) -> bool {
        match self.by_id.remove(&id) {
            Some(lease) => self.by_deadline.remove(&(lease.deadline, id)),
            None => false,
        }
    }

    /// Puts every end off by as long as the store was late, if it was: renewals that came in time could not be heard meanwhile.
    /// Those that wait now are heard before anything ends.
    pub(crate) fn forgive(&mut self) {
        let Some(first) = self.first_deadline() else { return };
        let late = Instant::now().saturating_duration_since(first);
        if late < LATE {
            return;
        }
        tracing::warn!(?late, "the store stood still; leases end that much later");
        for lease in self.by_id.values_mut() {
            lease.deadline = later(lease.deadline, late + LATE);
        }
        self.by_deadline = self.by_id.iter().map(|(id, lease)| (lease.deadline, *id)).collect();
    }

    /// When the first of them ends.
    pub(crate) fn first_deadline(&self) -> Option<Instant> {
        self.by_deadline.first().map(|(deadline, _)| *deadline)
    }

    /// Those that have ended, the first first.
    pub(crate) fn ended(&self) -> Vec<i64> {
        let now = Instant::now();
        self.by_deadline.iter().take_while(|(deadline, _)| *deadline <= now).map(|(_, id)| *id).collect()
    }

    /// What to write of a lease so that it can be taken up again.
    pub(crate) fn stored(&self, id: i64) -> Option<Stored> {
        let lease = self.by_id.get(&id)?;
        let left = lease.deadline.saturating_duration_since(Instant::now());
        let end = self.clock().saturating_add(i64::try_from(left.as_millis()).unwrap_or(i64::MAX));
        Some((lease.ttl, end, lease.renewed))
    }

    /// The same for all, with their ends exact: for a store that is closed in good order.
    pub(crate) fn exact(&mut self) -> Vec<(i64, Stored)> {
        self.by_id.values_mut().for_each(|lease| lease.renewed = false);
        self.by_id.keys().filter_map(|id| Some((*id, self.stored(*id)?))).collect()
    }

    fn put(&mut self, id: i64, lease: Lease) {
        self.remove(id);
        self.by_deadline.insert((lease.deadline, id));
        self.by_id.insert(id, lease);
    }
}

/// That much later, or so late that it makes no difference: not every clock can hold the longest lease.
fn later(from: Instant, duration: Duration) -> Instant {
    const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
    from.checked_add(duration).unwrap_or(from + CENTURY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_lease_lives_for_its_time_and_not_a_millisecond_longer() {
        let mut leases = Leases::new(0);
        assert_eq!(leases.grant(7, 10), Ok((7, 10)));
        assert_eq!(leases.grant(7, 10), Err(Refusal::LeaseExists));
        tokio::time::advance(Duration::from_millis(9_999)).await;
        assert_eq!((leases.ended(), leases.time_to_live(7)), (vec![], Some((0, 10))));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!((leases.ended(), leases.renew(7)), (vec![7], None));
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_stood_still_lets_leases_live_for_as_long() {
        let mut leases = Leases::new(0);
        leases.grant(1, 10).unwrap();
        leases.grant(2, 60).unwrap();
        tokio::time::advance(Duration::from_millis(10_499)).await;
        leases.forgive();
        assert_eq!((leases.ended(), leases.time_to_live(2)), (vec![1], Some((49, 60))));
        tokio::time::advance(Duration::from_millis(1)).await;
        leases.forgive();
        // Half a second late, and half a second more to be heard in.
        assert_eq!((leases.ended(), leases.time_to_live(2)), (vec![], Some((50, 60))));
        assert_eq!(leases.renew(1), Some((10, true)));
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(leases.ended(), vec![1]);
    }

    #[tokio::test(start_paused = true)]
    async fn only_the_first_renewal_has_to_be_written() {
        let mut leases = Leases::new(0);
        leases.grant(7, 10).unwrap();
        tokio::time::advance(Duration::from_secs(4)).await;
        assert_eq!(leases.renew(7), Some((10, true)));
        assert_eq!(leases.renew(7), Some((10, false)));
        assert_eq!(leases.time_to_live(7), Some((10, 10)));
        assert_eq!(leases.first_deadline(), Some(Instant::now() + Duration::from_secs(10)));
    }

    #[tokio::test(start_paused = true)]
    async fn time_to_live_is_raised_to_what_etcd_takes_and_bounded() {
        let mut leases = Leases::new(0);
        assert_eq!(leases.grant(1, 0), Ok((1, 2)));
        assert_eq!(leases.grant(2, -5), Ok((2, 2)));
        assert_eq!(leases.grant(3, 9_000_000_001), Err(Refusal::LeaseTtlTooLarge));
        assert_eq!(leases.grant(3, 9_000_000_000), Ok((3, 9_000_000_000)));
        let (chosen, _) = leases.grant(0, 5).unwrap();
        assert!(chosen > 0 && leases.by_id().contains_key(&chosen));
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_is_taken_up_where_it_was_left_and_a_renewed_one_begins_anew() {
        let mut before = Leases::new(1_000);
        before.grant(1, 100).unwrap();
        before.grant(2, 100).unwrap();
        tokio::time::advance(Duration::from_secs(30)).await;
        before.renew(2).unwrap();
        let mut after = Leases::new(before.clock());
        for id in [1, 2] {
            after.restore(id, before.stored(id).unwrap());
        }
        // The end of the first was written when it was granted; it is the same however often it is written.
        assert_eq!(after.time_to_live(1), Some((70, 100)));
        assert_eq!(after.time_to_live(2), Some((100, 100)));
        // A clock that was last written long before the end makes it longer, never shorter.
        let mut crashed = Leases::new(1_000);
        crashed.restore(1, before.stored(1).unwrap());
        assert_eq!(crashed.time_to_live(1), Some((100, 100)));
    }
}
