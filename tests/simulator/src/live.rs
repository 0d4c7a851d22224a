//! The faults a process suffers from at this moment: set by the control socket, looked at by everything else.

use std::time::Duration;

use tokio::sync::watch;

use crate::fault::Fault;
use crate::journal::{self, Journal, Level};

/// The faults that last until `ok`.
#[expect(clippy::struct_excessive_bools, reason = "faults are independent of each other")]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Lasting {
    /// Neither serves nor works.
    pub hang: bool,
    /// Ignores SIGTERM.
    pub deaf: bool,
    /// MiB a second to leak.
    pub leak: Option<f64>,
    /// Data and pages answer 503.
    pub http_503: bool,
    /// The health check fails.
    pub unhealthy: bool,
    /// The database is gone.
    pub sql_down: bool,
    /// Pushes are refused.
    pub push_403: bool,
}

impl Lasting {
    /// Adds a fault; what does not last changes nothing.
    fn with(mut self, fault: Fault) -> Self {
        match fault {
            Fault::Hang { deaf } => (self.hang, self.deaf) = (true, deaf),
            Fault::Leak(rate) => self.leak = Some(rate),
            Fault::Http503 => self.http_503 = true,
            Fault::Unhealthy => self.unhealthy = true,
            Fault::SqlDown => self.sql_down = true,
            Fault::Push403 => self.push_403 = true,
            Fault::Ok => self = Self::default(),
            Fault::Die(_) | Fault::Burst(..) => {}
        }
        self
    }
}

/// What a process has to answer before it may die, so that who told it so hears that it worked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Carry on.
    Lives,
    /// Exit with this code.
    Dies(u8),
}

/// The switchboard of one process. Clones share it.
#[derive(Clone, Debug)]
pub struct Live {
    journal: Journal,
    /// Written by `apply` only; everything else subscribes.
    lasting: watch::Sender<Lasting>,
}

impl Live {
    /// No faults.
    pub fn new(journal: Journal) -> Self {
        Self { journal, lasting: watch::Sender::default() }
    }

    /// Applies a fault. Bursts are written before this returns; dying is left to the caller.
    pub fn apply(&self, fault: Fault) -> Outcome {
        if let Fault::Burst(known, count) = fault {
            (0..count).for_each(|_| known.write(&self.journal));
        }
        self.lasting.send_modify(|lasting| *lasting = lasting.with(fault));
        match fault {
            Fault::Die(code) => Outcome::Dies(code),
            _ => Outcome::Lives,
        }
    }

    /// Ends the process. A clean exit is what the launcher leaves behind when one of its children died.
    pub fn die(role: &str, code: u8) -> ! {
        if code == 0 {
            journal::launcher(Level::Error, &format!("Service {role} died unexpectedly!"));
        }
        std::process::exit(i32::from(code))
    }

    /// The lasting faults now.
    pub fn now(&self) -> Lasting {
        *self.lasting.borrow()
    }

    /// Follows the lasting faults.
    pub fn follow(&self) -> watch::Receiver<Lasting> {
        self.lasting.subscribe()
    }

    /// Waits while the process hangs. Every loop and every request passes through here before it does anything.
    pub async fn awake(&self) {
        // An error means the sender is gone, and `self` is one.
        let _ = self.follow().wait_for(|lasting| !lasting.hang).await;
    }

    /// Sleeps, and then waits while the process hangs.
    pub async fn rest(&self, time: Duration) {
        tokio::time::sleep(time).await;
        self.awake().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Form;

    #[test]
    fn faults_add_up_until_ok_clears_them_all() {
        let live = Live::new(Journal::new("", Form::Text));
        live.apply(Fault::SqlDown);
        live.apply(Fault::Leak(2.0));
        assert_eq!(live.now(), Lasting { sql_down: true, leak: Some(2.0), ..Lasting::default() });
        assert_eq!(live.apply(Fault::Ok), Outcome::Lives);
        assert_eq!(live.now(), Lasting::default());
    }

    #[test]
    fn only_die_ends_the_process() {
        let live = Live::new(Journal::new("", Form::Text));
        assert_eq!(live.apply(Fault::Hang { deaf: true }), Outcome::Lives);
        assert_eq!(live.apply(Fault::Die(0)), Outcome::Dies(0));
    }
}
