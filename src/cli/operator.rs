//! Who runs the command.

/// `user@host` of whoever runs the command.
pub(super) fn operator() -> String {
    let named = ["USER", "LOGNAME"].into_iter().find_map(|v| std::env::var(v).ok().filter(|u| !u.is_empty()));
    let user = named.unwrap_or_else(|| {
        let uid = rustix::process::getuid().as_raw();
        let accounts = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        account(&accounts, uid).map_or_else(|| format!("uid{uid}"), str::to_owned)
    });
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    // The field takes 256 bytes; a stop must not fail for a long name.
    format!("{user}@{host}").chars().take(64).collect()
}

/// The name of a user id, from the text of `/etc/passwd`.
fn account(accounts: &str, uid: u32) -> Option<&str> {
    accounts.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_found_by_its_id() {
        let accounts = "root:x:0:0:root:/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\n";
        assert_eq!(account(accounts, 1000), Some("ann"));
        assert_eq!(account(accounts, 7), None);
    }

    #[test]
    fn an_operator_is_somebody_somewhere() {
        let operator = operator();
        assert!(operator.split_once('@').is_some_and(|(user, host)| !user.is_empty() && !host.is_empty()), "{operator}");
    }
}
