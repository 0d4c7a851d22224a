//! `store init-roles`: the users and roles of an etcd.

use crate::cli::print::format::Output;
use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use serde_json::{Value, json};

use crate::cli::{Error, Io};
use crate::store::Store;
use crate::store::access::{self, Outcome, Plan, default_prefix};
use crate::store::roles::{Access, Permission};

/// Arguments of `store init-roles`.
#[derive(Debug, Args)]
#[command(about = "Set up the roles of an etcd, by which operators and controllers write what is theirs", long_about = LONG)]
pub struct InitRoles {
    /// Also set up a user without password for each role, of the same name: who shows a certificate of that common name is it
    #[arg(long)]
    with_users: bool,
    /// What the names of roles and users have in front; `wicap`, with the URL's key prefix when it has one
    #[arg(long, value_name = "PREFIX", value_parser = NonEmptyStringValueParser::new())]
    role_prefix: Option<String>,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
    /// How it is printed
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: Output,
}

const LONG: &str = "\
Set up the roles of an etcd, by which operators and controllers write what is theirs

One role each for operators, viewers and every controller, on the keys under the prefix of the store's URL. What a role lacks is \
granted, what it has too much is revoked; other roles and users are not touched. A second run changes nothing. Authentication is \
not turned on by this: how to is said when it is off. When it is on, this needs root's certificate. The embedded store has no roles.";

impl InitRoles {
    pub(super) async fn run(&self, store: &Store, io: &mut Io<'_>) -> Result<(), Error> {
        let prefix = self.role_prefix.clone().unwrap_or_else(|| default_prefix(store.url()));
        let plan = store.plan_access(&prefix, self.with_users).await?;
        if !self.dry_run {
            store.carry_out(&plan).await?;
        }
        match self.output {
            Output::Text => self.print(&plan, io)?,
            Output::Json => {
                serde_json::to_writer_pretty(&mut *io.out, &document(&plan, self.dry_run)).map_err(std::io::Error::from)?;
                writeln!(io.out)?;
            }
        }
        if !plan.binds() {
            writeln!(
                io.err,
                "Warning: etcd {} does not look into transactions inside transactions (CVE-2026-33343): whoever can log in can \
                 write everything, whatever the roles say. Use 3.4.42, 3.5.28, 3.6.9 or later",
                plan.version
            )?;
        }
        if !plan.enabled {
            writeln!(
                io.err,
                "Authentication is off: everybody may still do everything. To turn it on, with a certificate for root at hand:\n  \
                 etcdctl user add root --no-password\n  etcdctl user grant-role root root\n  etcdctl auth enable"
            )?;
        }
        Ok(())
    }

    fn print(&self, plan: &Plan, io: &mut Io<'_>) -> Result<(), Error> {
        let suffix = if self.dry_run { " (dry run)" } else { "" };
        for role in &plan.roles {
            writeln!(io.out, "role/{} {}{suffix}", role.name, role.outcome().as_str())?;
            // What a new role holds is in the documentation.
            if role.outcome() == Outcome::Configured {
                for (word, permissions) in [("granted", &role.grant), ("revoked", &role.revoke)] {
                    for permission in permissions {
                        writeln!(io.out, "  {word} {}", in_words(permission))?;
                    }
                }
            }
        }
        for user in &plan.users {
            writeln!(io.out, "user/{} {}{suffix}", user.name, user.outcome().as_str())?;
        }
        Ok(())
    }
}

fn word(access: Access) -> &'static str {
    match access {
        Access::Read => "read",
        Access::Write => "write",
        Access::ReadWrite => "readwrite",
    }
}

fn in_words(permission: &Permission) -> String {
    let (access, range) = (word(permission.access), &permission.range);
    match range.end.as_str() {
        "" => format!("{access} of {}", range.key),
        end => format!("{access} of [{}, {end})", range.key),
    }
}

fn document(plan: &Plan, dry_run: bool) -> Value {
    let one = |p: &Permission| json!({"access": word(p.access), "key": p.range.key, "rangeEnd": p.range.end});
    let all = |permissions: &[Permission]| permissions.iter().map(one).collect::<Vec<_>>();
    let roles: Vec<_> = plan
        .roles
        .iter()
        .map(|role| {
            json!({
                "name": role.name, "outcome": role.outcome().as_str(), "permissions": all(&role.permissions),
                "granted": all(&role.grant), "revoked": all(&role.revoke),
            })
        })
        .collect();
    let users: Vec<_> =
        plan.users.iter().map(|user| json!({"name": user.name, "outcome": user.outcome().as_str()})).collect();
    json!({
        "dryRun": dry_run, "version": plan.version, "rolesBind": plan.binds(), "authenticationEnabled": plan.enabled,
        "roles": roles, "users": users,
    })
}

impl From<access::Error> for Error {
    fn from(error: access::Error) -> Self {
        use access::Error as E;
        match error {
            E::Store(error) => error.into(),
            E::NoRoles | E::OtherInstallation { .. } => Self::Refused(vec![format!("error: {error}")]),
        }
    }
}
