//! What a store for one host does not have is refused by its name, and never ignored.

use etcd_client::{AlarmAction, AlarmType, Error};
use wicap::store::embedded::{Embedded, Options};

/// The message of a call that is not supported.
fn named<T: std::fmt::Debug>(answer: Result<T, Error>) -> String {
    match answer {
        Err(Error::GRpcStatus(status)) if status.code() == tonic::Code::Unimplemented => status.message().to_owned(),
        other => panic!("expected Unimplemented, found {other:?}"),
    }
}

#[tokio::test]
async fn calls_of_what_is_not_here_are_refused_by_their_names() {
    let store = Embedded::in_memory(Options::default()).unwrap();
    let mut client = store.client().await.unwrap();
    let found = [
        (named(client.auth_enable().await), "etcdserverpb.Auth/AuthEnable"),
        (named(client.auth_disable().await), "etcdserverpb.Auth/AuthDisable"),
        (named(client.user_add("u", "p", None).await), "etcdserverpb.Auth/UserAdd"),
        (named(client.user_list().await), "etcdserverpb.Auth/UserList"),
        (named(client.role_add("r").await), "etcdserverpb.Auth/RoleAdd"),
        (named(client.role_list().await), "etcdserverpb.Auth/RoleList"),
        (named(client.lock("l", None).await), "v3lockpb.Lock/Lock"),
        (named(client.unlock("l").await), "v3lockpb.Lock/Unlock"),
        (named(client.campaign("e", "v", 1).await), "v3electionpb.Election/Campaign"),
        (named(client.leader("e").await), "v3electionpb.Election/Leader"),
        (named(client.member_add(["http://127.0.0.1:1"], None).await), "MemberAdd"),
        (named(client.member_remove(1).await), "MemberRemove"),
        (named(client.member_update(1, ["http://127.0.0.1:1".to_owned()]).await), "MemberUpdate"),
        (named(client.member_promote(1).await), "MemberPromote"),
        (named(client.move_leader(1).await), "MoveLeader"),
        (named(client.alarm(AlarmAction::Activate, AlarmType::Corrupt, None).await), "alarms other than NOSPACE"),
    ];
    for (message, name) in found {
        assert!(message.starts_with(&format!("the embedded store does not support {name}")), "{message}");
    }
}
