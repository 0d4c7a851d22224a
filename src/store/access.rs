//! Makes the roles of an etcd be what [`super::roles`] says, and users for them.
//!
//! ```text
//!  what is there ──compare with the table──▶ Plan ──▶ carry out: add roles, grant, then revoke; add users, grant them roles
//! ```
//!
//! Guarantees: a role that is as it should be is not touched, and carrying out a plan leaves a store of which the next plan is
//! empty. Roles and users of other names are not touched, and nobody's password is. What a role holds too much is taken away
//! after what it lacks was given, so that whoever is at work goes on. Whether etcd asks who comes at all (`etcdctl auth enable`)
//! is for people to say.

use std::collections::BTreeMap;

use etcd_client::{Permission as Granted, PermissionType, RoleRevokePermissionOptions, UserAddOptions};
use tonic::Code;

use super::roles::{Access, Permission, Range, Role};
use super::{Store, StoreUrl, refusal};
use crate::api::GROUP;

/// The first releases that hold a transaction inside a transaction to the roles of who sends it (CVE-2026-33343). Before them
/// whoever can log in can write everything.
const BINDING: [(u64, u64, u64); 3] = [(3, 4, 42), (3, 5, 28), (3, 6, 9)];

/// Why the roles of a store cannot be made what they should be.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store.
    #[error(transparent)]
    Store(#[from] super::Error),
    /// It is no etcd. Say who may use it where it is started.
    #[error(
        "this store has no users and roles: the embedded store goes by the owner and the group of its socket (wicapd --socket-group), \
         and on TCP by certificates"
    )]
    NoRoles,
    /// Two installations would have roles of the same names. Give one of them other names.
    #[error(
        "the role {role} belongs to the objects under {root}; the roles of this store need names of their own: see --role-prefix"
    )]
    OtherInstallation {
        /// The role's name.
        role: String,
        /// What comes before the keys of the other one.
        root: String,
    },
}

/// What would have to be done.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Of each role, in the order of [`Role::ALL`].
    pub roles: Vec<RolePlan>,
    /// Of a user for each role, where users are wanted.
    pub users: Vec<UserPlan>,
    /// Whether etcd asks who comes. Until it does, everybody may do everything.
    pub enabled: bool,
    /// The version that etcd says it is.
    pub version: String,
}

/// What would have to be done to a role.
#[derive(Clone, Debug)]
pub struct RolePlan {
    /// Its name.
    pub name: String,
    /// Whether it is to be made.
    pub absent: bool,
    /// What it should hold.
    pub permissions: Vec<Permission>,
    /// What it lacks.
    pub grant: Vec<Permission>,
    /// What it holds too much.
    pub revoke: Vec<Permission>,
}

/// What would have to be done to a user.
#[derive(Clone, Debug)]
pub struct UserPlan {
    /// Its name, which is that of its role.
    pub name: String,
    /// Whether it is to be made.
    pub absent: bool,
    /// Whether it is to be given its role.
    pub grant: bool,
}

/// What is done to a role or a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is made.
    Created,
    /// It is changed.
    Configured,
    /// It is as it should be.
    Unchanged,
}

impl Outcome {
    fn of(absent: bool, changes: bool) -> Self {
        match (absent, changes) {
            (true, _) => Self::Created,
            (false, true) => Self::Configured,
            (false, false) => Self::Unchanged,
        }
    }

    /// The word for it, as in `kubectl apply`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Configured => "configured",
            Self::Unchanged => "unchanged",
        }
    }
}

impl RolePlan {
    /// What is done to it.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        Outcome::of(self.absent, !self.grant.is_empty() || !self.revoke.is_empty())
    }
}

impl UserPlan {
    /// What is done to it.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        Outcome::of(self.absent, self.grant)
    }
}

impl Plan {
    /// Whether that etcd holds everybody to their role, whatever they send.
    #[must_use]
    pub fn binds(&self) -> bool {
        binds(&self.version)
    }
}

/// What the names of an installation's roles and users have in front: the keys' prefix makes them differ where several share an
/// etcd.
#[must_use]
pub fn default_prefix(url: &StoreUrl) -> String {
    format!("wicap{}", url.prefix.replace('/', "-"))
}

impl Store {
    /// Compares the roles of the etcd, and users of their names when they are wanted, with what they should be. Changes nothing.
    ///
    /// # Errors
    /// [`Error::NoRoles`]; [`Error::OtherInstallation`]; the store's.
    pub async fn plan_access(&self, prefix: &str, with_users: bool) -> Result<Plan, Error> {
        let mut auth = self.client.auth_client();
        let there = self.ask(async { auth.role_list().await }).await?.roles().to_vec();
        let mut roles = Vec::new();
        for role in Role::ALL {
            let name = format!("{prefix}-{}", role.as_str());
            let absent = !there.contains(&name);
            let held =
                if absent { Vec::new() } else { self.ask(async { auth.role_get(&*name).await }).await?.permissions() };
            let held: Vec<Permission> = held.iter().map(permission).collect();
            let permissions = role.permissions(&self.keys);
            if let Some(root) = other_root(&held, self.keys.root()) {
                return Err(Error::OtherInstallation { role: name, root });
            }
            let (grant, revoke) = compare(&permissions, &held);
            roles.push(RolePlan { name, absent, permissions, grant, revoke });
        }
        let mut users = Vec::new();
        if with_users {
            let there = self.ask(async { auth.user_list().await }).await?.users().to_vec();
            for name in roles.iter().map(|role| role.name.clone()) {
                let absent = !there.contains(&name);
                let has = !absent && self.ask(async { auth.user_get(&*name).await }).await?.roles().contains(&name);
                users.push(UserPlan { name, absent, grant: !has });
            }
        }
        Ok(Plan { roles, users, enabled: self.is_auth_enabled().await?, version: self.version().await? })
    }

    /// Does what a plan says. One that was interrupted is planned anew, and goes on.
    ///
    /// # Errors
    /// The store's: [`super::Error::Refused`] when etcd asks who comes and it is not root.
    pub async fn carry_out(&self, plan: &Plan) -> Result<(), Error> {
        let mut auth = self.client.auth_client();
        for role in &plan.roles {
            let name = &*role.name;
            if role.absent {
                self.ask(async { auth.role_add(name).await }).await?;
            }
            for wanted in &role.grant {
                self.ask(async { auth.role_grant_permission(name, granted(wanted)).await }).await?;
            }
            for Permission { range, .. } in &role.revoke {
                let options = RoleRevokePermissionOptions::new().with_range_end(&*range.end);
                self.ask(async { auth.role_revoke_permission(name, &*range.key, Some(options)).await }).await?;
            }
        }
        for user in &plan.users {
            let name = &*user.name;
            if user.absent {
                // It is known by its certificate.
                let options = UserAddOptions::new().with_no_pwd();
                self.ask(async { auth.user_add(name, "", Some(options)).await }).await?;
            }
            if user.grant {
                self.ask(async { auth.user_grant_role(name, name).await }).await?;
            }
        }
        Ok(())
    }

    /// Whether etcd asks who comes. It says so to whoever tries to log in: there is no user without a name.
    async fn is_auth_enabled(&self) -> Result<bool, Error> {
        let mut auth = self.client.auth_client();
        match self.ask(async { Ok(auth.authenticate(String::new(), String::new()).await) }).await? {
            Err(etcd_client::Error::GRpcStatus(status)) if status.code() == Code::FailedPrecondition => Ok(false),
            Err(error) if refusal(&error).is_none() => Err(self.read_error(&error).into()),
            _ => Ok(true),
        }
    }

    /// One request about users and roles.
    async fn ask<T>(&self, request: impl Future<Output = Result<T, etcd_client::Error>>) -> Result<T, Error> {
        let answer = self.read(async { Ok(request.await) }).await?;
        answer.map_err(|error| match &error {
            etcd_client::Error::GRpcStatus(status) if status.code() == Code::Unimplemented => Error::NoRoles,
            other => self.read_error(other).into(),
        })
    }
}

/// What is lacking, and what is there too much. etcd keeps one permission a range: granting another kind replaces it.
fn compare(wanted: &[Permission], held: &[Permission]) -> (Vec<Permission>, Vec<Permission>) {
    let of = |all: &[Permission]| -> BTreeMap<Range, Access> { all.iter().map(|p| (p.range.clone(), p.access)).collect() };
    let (should, has) = (of(wanted), of(held));
    let lacking = wanted.iter().filter(|p| has.get(&p.range) != Some(&p.access)).cloned().collect();
    (lacking, held.iter().filter(|p| !should.contains_key(&p.range)).cloned().collect())
}

/// Where the keys of another installation begin, when a role is that one's: each of our roles may read all keys of its own.
fn other_root(held: &[Permission], root: &str) -> Option<String> {
    let roots = held.iter().filter(|p| p.access == Access::Read && p.range.end.ends_with('0'));
    let mut roots = roots.filter_map(|p| p.range.key.strip_suffix('/')).filter(|r| r.ends_with(&format!("/{GROUP}")));
    roots.find(|found| *found != root).map(str::to_owned)
}

fn permission(granted: &Granted) -> Permission {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let access = match PermissionType::try_from(granted.get_type()) {
        Ok(PermissionType::Read) => Access::Read,
        Ok(PermissionType::Write) => Access::Write,
        _ => Access::ReadWrite,
    };
    Permission { range: Range { key: text(granted.key()), end: text(granted.range_end()) }, access }
}

fn granted(Permission { range, access }: &Permission) -> Granted {
    let kind = match access {
        Access::Read => PermissionType::Read,
        Access::Write => PermissionType::Write,
        Access::ReadWrite => PermissionType::Readwrite,
    };
    Granted::new(kind, &*range.key).with_range_end(&*range.end)
}

fn binds(version: &str) -> bool {
    let mut numbers = version.split('.').map(|part| {
        let digits = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
        part[..digits].parse::<u64>().unwrap_or(0)
    });
    let mut next = || numbers.next().unwrap_or(0);
    let found = (next(), next(), next());
    match BINDING.iter().find(|(major, minor, _)| (*major, *minor) == (found.0, found.1)) {
        Some(first) => found >= *first,
        None => found > BINDING[BINDING.len() - 1],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(key: &str, end: &str, access: Access) -> Permission {
        Permission { range: Range { key: key.to_owned(), end: end.to_owned() }, access }
    }

    #[test]
    fn only_what_differs_is_granted_and_revoked() {
        let wanted = [on("a/", "a0", Access::Read), on("a/b", "", Access::Write), on("a/c", "", Access::Write)];
        let held = [on("a/", "a0", Access::Read), on("a/b", "", Access::ReadWrite), on("a/c", "a/d", Access::Write)];
        let (grant, revoke) = compare(&wanted, &held);
        // Revoking goes by the range: what is replaced must not be revoked.
        assert_eq!((&grant[..], &revoke[..]), (&wanted[1..], &held[2..]));
        assert_eq!(compare(&wanted, &wanted), (vec![], vec![]));
    }

    #[test]
    fn a_role_of_another_installation_is_known_by_what_it_reads() {
        let whole = |root: &str| on(&format!("{root}/"), &format!("{root}0"), Access::Read);
        assert_eq!(other_root(&[whole("/a/wicap.dev")], "/a/wicap.dev"), None);
        assert_eq!(other_root(&[whole("/wicap.dev")], "/a/wicap.dev"), Some("/wicap.dev".to_owned()));
        assert_eq!(other_root(&[whole("/other")], "/a/wicap.dev"), None);
        assert_eq!(other_root(&[], "/a/wicap.dev"), None);
    }

    #[test]
    fn names_differ_where_prefixes_do() {
        let names = ["http://h:1", "http://h:1/site", "http://h:1/a/b"].map(|url| default_prefix(&url.parse().unwrap()));
        assert_eq!(names, ["wicap", "wicap-site", "wicap-a-b"]);
    }

    #[test]
    fn a_release_binds_from_the_one_on_that_looks_into_transactions() {
        for (version, expected) in [
            ("3.4.41", false),
            ("3.4.42", true),
            ("3.5.16", false),
            ("3.5.27", false),
            ("3.5.28", true),
            ("3.5.30+git", true),
            ("3.6.8", false),
            ("3.6.9-rc.0", true),
            ("3.7.0", true),
            ("4.0.0", true),
            ("3.3.99", false),
            ("", false),
        ] {
            assert_eq!(binds(version), expected, "{version}");
        }
    }
}
