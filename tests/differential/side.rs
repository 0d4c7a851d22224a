//! One of the two stores, and how an operation is asked of it.

use etcd_client::{
    AlarmAction, AlarmOptions, AlarmResponse, AlarmType, Client, CompactionOptions, Compare as EtcdCompare, DeleteOptions,
    Error, GetOptions, LeaseGrantOptions, LeaseTimeToLiveOptions, PutOptions, ResponseHeader, Txn as EtcdTxn, TxnOp,
    WatchOptions,
};

use super::answer::{Answer, Leases, revision};
use super::operation::{Bytes, Change, Compare, Delete, Operation, Put, Range, Span, Step, Target, Txn, Watch};
use super::peer::Peer;
use super::streams::{Notes, Stream};

/// Each operation goes over the next of these connections.
const CONNECTIONS: usize = 3;

/// Each with a connection of its own.
pub const STREAMS: usize = 3;

pub struct Side {
    clients: Vec<Client>,
    turn: usize,
    leases: Leases,
    pub streams: Vec<Stream>,
    /// The id of its one member.
    member: u64,
    peer: Peer,
}

impl Side {
    pub async fn new(peer: Peer) -> Self {
        let status = peer.client().await.status().await.unwrap();
        let member = status.header().map_or(0, ResponseHeader::member_id);
        let mut side = Self { clients: Vec::new(), turn: 0, leases: Leases::default(), streams: Vec::new(), member, peer };
        side.connect().await;
        side
    }

    async fn connect(&mut self) {
        (self.clients, self.streams) = (Vec::new(), Vec::new());
        for _ in 0..CONNECTIONS {
            self.clients.push(self.peer.client().await);
        }
        for _ in 0..STREAMS {
            self.streams.push(Stream::open(self.peer.client().await).await);
        }
    }

    /// Kills the store and starts it again, and connects anew. What a watch has not yet said, it never will.
    pub async fn restart(&mut self) {
        self.peer.restart().await;
        self.connect().await;
    }

    /// The answers to changes that are all under way at once.
    pub async fn burst(&self, changes: &[Change]) -> Vec<Answer> {
        let answers = changes.iter().enumerate().map(|(number, change)| async move {
            let client = self.clients[number % CONNECTIONS].clone();
            self.change(client, change).await.unwrap_or_else(|e| Answer::refused(&e))
        });
        futures::future::join_all(answers).await
    }

    async fn change(&self, mut client: Client, change: &Change) -> Result<Answer, Error> {
        Ok(match change {
            Change::Put(put) => {
                let (key, value) = (put.key.0.clone(), put.value.0.clone());
                self.leases.put(&client.put(key, value, Some(self.put_options(put))).await?)
            }
            Change::Delete(delete) => {
                self.leases.delete(&client.delete(delete.span.key.0.clone(), Some(delete_options(delete))).await?)
            }
        })
    }

    /// The answer to an operation, whatever it is.
    pub async fn execute(&mut self, operation: &Operation) -> Answer {
        self.turn += 1;
        self.ask(operation).await.unwrap_or_else(|e| Answer::refused(&e))
    }

    /// What the watches of a stream have said since the last time, and what was canceled that nobody canceled.
    pub fn taken(&self, stream: usize) -> (Notes, Vec<(i64, Answer)>) {
        self.streams[stream].take(&self.leases)
    }

    /// The next connection.
    fn client(&self) -> Client {
        self.clients[self.turn % CONNECTIONS].clone()
    }

    async fn ask(&mut self, operation: &Operation) -> Result<Answer, Error> {
        let mut client = self.client();
        Ok(match operation {
            Operation::Range(range) => {
                self.leases.range(&client.get(range.span.key.0.clone(), Some(range_options(range))).await?)
            }
            Operation::Put(put) => self.change(client, &Change::Put(put.clone())).await?,
            Operation::Delete(delete) => self.change(client, &Change::Delete(delete.clone())).await?,
            Operation::Txn(txn) => self.leases.txn(&client.txn(self.txn(txn)).await?),
            Operation::Compact { revision: at, physical } => {
                let options = if *physical { CompactionOptions::new().with_physical() } else { CompactionOptions::new() };
                Answer::Compact { revision: revision(client.compact(*at, Some(options)).await?.header()) }
            }
            Operation::Grant { lease, ttl } => {
                let answer =
                    client.lease_grant(*ttl, Some(LeaseGrantOptions::new().with_id(self.leases.actual(*lease)))).await?;
                let lease = if *lease == 0 { self.leases.add(answer.id()) } else { self.leases.canonical(answer.id()) };
                let error = answer.error().to_owned();
                Answer::Grant { revision: revision(answer.header()), lease, ttl: answer.ttl(), error }
            }
            Operation::Brief { lease, ttl } => {
                let answer = client.lease_grant(*ttl, Some(LeaseGrantOptions::new().with_id(*lease))).await?;
                // On a busy machine it may have expired by itself, which is as well.
                let _ = client.lease_revoke(answer.id()).await;
                let (lease, error) = (if *lease == 0 { 0 } else { answer.id() }, answer.error().to_owned());
                Answer::Grant { revision: revision(answer.header()), lease, ttl: answer.ttl(), error }
            }
            Operation::Revoke { lease } => {
                Answer::Revoke { revision: revision(client.lease_revoke(self.leases.actual(*lease)).await?.header()) }
            }
            Operation::KeepAlive { lease } => self.keep_alive(client, *lease).await?,
            Operation::TimeToLive { lease, keys } => {
                let options = if *keys { LeaseTimeToLiveOptions::new().with_keys() } else { LeaseTimeToLiveOptions::new() };
                let answer = client.lease_time_to_live(self.leases.actual(*lease), Some(options)).await?;
                let mut keys: Vec<Bytes> = answer.keys().iter().cloned().map(Bytes).collect();
                keys.sort();
                let (revision, lease) = (revision(answer.header()), self.leases.canonical(answer.id()));
                Answer::TimeToLive { revision, lease, granted: answer.granted_ttl(), remaining: answer.ttl(), keys }
            }
            Operation::Leases => {
                let answer = client.leases().await?;
                let mut leases: Vec<i64> = answer.leases().iter().map(|l| self.leases.canonical(l.id())).collect();
                leases.sort_unstable();
                Answer::Leases { revision: revision(answer.header()), leases }
            }
            Operation::HashKv { revision: at } => {
                let answer = client.hash_kv(*at).await?;
                let compacted = answer.compact_version();
                Answer::HashKv { revision: revision(answer.header()), hash: answer.hash(), compacted }
            }
            Operation::Status => {
                let answer = client.status().await?;
                let version = answer.version().split('.').count() == 3;
                let own = self.member.to_string();
                let errors = answer.errors().iter().map(|error| error.replace(&own, "MEMBER")).collect();
                Answer::Status { revision: revision(answer.header()), version, size: answer.db_size() > 0, errors }
            }
            Operation::Members => {
                let answer = client.member_list().await?;
                let members = answer.members().iter();
                let members = members.map(|m| (m.name().to_owned(), m.client_urls().len(), m.is_learner())).collect();
                Answer::Members { revision: revision(answer.header()), members }
            }
            Operation::Defragment => Answer::Defragment { revision: revision(client.defragment().await?.header()) },
            Operation::Alarms => self.alarms(&client.alarm(AlarmAction::Get, AlarmType::None, None).await?),
            Operation::Full { raised } => {
                let action = if *raised { AlarmAction::Activate } else { AlarmAction::Deactivate };
                let mut options = AlarmOptions::new();
                options.with_member(self.member);
                self.alarms(&client.alarm(action, AlarmType::Nospace, Some(options)).await?)
            }
            Operation::Watch { stream, watch } => {
                self.streams[*stream].watch(watch.span.key.0.clone(), watch_options(watch)).await
            }
            Operation::Cancel { stream, id } => self.streams[*stream].cancel(*id).await,
            Operation::Settle | Operation::Burst(_) | Operation::Restart => unreachable!("not one request"),
        })
    }

    fn alarms(&self, answer: &AlarmResponse) -> Answer {
        let alarms = answer.alarms().iter().map(|alarm| (alarm.alarm() as i32, alarm.member_id() == self.member));
        Answer::Alarms { revision: revision(answer.header()), alarms: alarms.collect() }
    }

    /// The first answer on a stream of its own is swallowed by the client, which looks only at the TTL; so a second is asked for.
    async fn keep_alive(&self, mut client: Client, lease: i64) -> Result<Answer, Error> {
        let (mut keeper, mut answers) = client.lease_keep_alive(self.leases.actual(lease)).await?;
        keeper.keep_alive().await?;
        let Some(answer) = answers.message().await? else {
            return Ok(Answer::Nothing);
        };
        let (revision, lease) = (revision(answer.header()), self.leases.canonical(answer.id()));
        Ok(Answer::KeepAlive { revision, lease, ttl: answer.ttl() })
    }

    fn put_options(&self, put: &Put) -> PutOptions {
        let mut options = PutOptions::new().with_lease(self.leases.actual(put.lease));
        if put.prev_kv {
            options = options.with_prev_key();
        }
        if put.ignore_value {
            options = options.with_ignore_value();
        }
        if put.ignore_lease {
            options = options.with_ignore_lease();
        }
        options
    }

    fn txn(&self, txn: &Txn) -> EtcdTxn {
        let compares: Vec<EtcdCompare> = txn.compares.iter().map(|c| self.compare(c)).collect();
        EtcdTxn::new().when(compares).and_then(self.steps(&txn.success)).or_else(self.steps(&txn.failure))
    }

    fn steps(&self, steps: &[Step]) -> Vec<TxnOp> {
        let one = |step: &Step| match step {
            Step::Range(range) => TxnOp::get(range.span.key.0.clone(), Some(range_options(range))),
            Step::Put(put) => TxnOp::put(put.key.0.clone(), put.value.0.clone(), Some(self.put_options(put))),
            Step::Delete(delete) => TxnOp::delete(delete.span.key.0.clone(), Some(delete_options(delete))),
            Step::Txn(txn) => TxnOp::txn(self.txn(txn)),
        };
        steps.iter().map(one).collect()
    }

    fn compare(&self, compare: &Compare) -> EtcdCompare {
        let (key, operator) = (compare.span.key.0.clone(), compare.operator);
        let made = match &compare.target {
            Target::Version(version) => EtcdCompare::version(key, operator, *version),
            Target::Create(revision) => EtcdCompare::create_revision(key, operator, *revision),
            Target::Mod(revision) => EtcdCompare::mod_revision(key, operator, *revision),
            Target::Value(value) => EtcdCompare::value(key, operator, value.0.clone()),
            Target::Lease(lease) => EtcdCompare::lease(key, operator, self.leases.actual(*lease)),
        };
        made.with_range(compare.span.end.0.clone())
    }
}

fn range_options(range: &Range) -> GetOptions {
    let Span { end, .. } = &range.span;
    let mut options = GetOptions::new()
        .with_range(end.0.clone())
        .with_limit(range.limit)
        .with_revision(range.revision)
        .with_min_mod_revision(range.min_mod)
        .with_max_mod_revision(range.max_mod)
        .with_min_create_revision(range.min_create)
        .with_max_create_revision(range.max_create);
    if let Some((target, order)) = range.sort {
        options = options.with_sort(target, order);
    }
    if range.serializable {
        options = options.with_serializable();
    }
    if range.keys_only {
        options = options.with_keys_only();
    }
    if range.count_only {
        options = options.with_count_only();
    }
    options
}

fn delete_options(delete: &Delete) -> DeleteOptions {
    let options = DeleteOptions::new().with_range(delete.span.end.0.clone());
    if delete.prev_kv { options.with_prev_key() } else { options }
}

fn watch_options(watch: &Watch) -> WatchOptions {
    let mut options = WatchOptions::new()
        .with_range(watch.span.end.0.clone())
        .with_start_revision(watch.start)
        .with_watch_id(watch.id)
        .with_filters(watch.filters.clone());
    if watch.prev_kv {
        options = options.with_prev_key();
    }
    if watch.progress_notify {
        options = options.with_progress_notify();
    }
    if watch.fragment {
        options = options.with_fragment();
    }
    options
}
