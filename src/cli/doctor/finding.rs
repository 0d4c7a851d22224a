//! What a check comes to.

use serde::Serialize;

/// How a check went, in rising order of trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// As it should be.
    Ok,
    /// It works, or is not needed now, or could not be looked at; a person should know.
    Warn,
    /// Something does not work because of it.
    Fail,
}

impl Outcome {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// What a check is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Area {
    /// The store, and copies of it.
    Store,
    /// The engine.
    Docker,
    /// The compose plugin.
    Compose,
    /// Who may read and write files and sockets of this host.
    Permissions,
    /// Whether clocks agree.
    Clocks,
    /// Space on this host's disks.
    Disk,
    /// What is installed.
    Versions,
    /// Who leads, and whether it gets on.
    Controllers,
    /// What stands in the way of everything: emergency stops.
    Stops,
    /// Policies, sessions, Elevations and soak runs beside one another.
    Policies,
    /// Compose files and directories of stacks.
    Stacks,
}

impl Area {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Store => "store",
            Self::Docker => "docker",
            Self::Compose => "compose",
            Self::Permissions => "permissions",
            Self::Clocks => "clocks",
            Self::Disk => "disk",
            Self::Versions => "versions",
            Self::Controllers => "controllers",
            Self::Stops => "stops",
            Self::Policies => "policies",
            Self::Stacks => "stacks",
        }
    }
}

/// What a check comes to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it is about.
    pub area: Area,
    /// What was checked.
    pub checked: String,
    /// How it went.
    pub result: Outcome,
    /// What was found.
    pub found: String,
    /// How to mend it, as a command where there is one. None where nothing is to be mended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mend: Option<String>,
}

impl Finding {
    /// It is as it should be.
    pub fn ok(area: Area, checked: impl Into<String>, found: impl Into<String>) -> Self {
        Self { area, checked: checked.into(), result: Outcome::Ok, found: found.into(), mend: None }
    }

    /// A person should know.
    pub fn warn(area: Area, checked: impl Into<String>, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { result: Outcome::Warn, mend: Some(mend.into()), ..Self::ok(area, checked, found) }
    }

    /// Something does not work because of it.
    pub fn fail(area: Area, checked: impl Into<String>, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { result: Outcome::Fail, mend: Some(mend.into()), ..Self::ok(area, checked, found) }
    }
}

/// Bytes for people: `1.5 GiB`.
#[must_use]
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    // Shown with three digits; a 53-bit mantissa holds far more.
    #[allow(clippy::cast_precision_loss)]
    let mut value = count as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 || value >= 100.0 { format!("{value:.0} {}", UNITS[unit]) } else { format!("{value:.1} {}", UNITS[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_three_digits() {
        for (count, expected) in
            [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (2 << 30, "2.0 GiB"), (u64::MAX, "16777216 TiB")]
        {
            assert_eq!(bytes(count), expected);
        }
    }
}
