//! The roles a process can play.

use crate::fault::Fault;
use crate::journal::{Form, Journal};

/// One of WICAP's processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The dashboard.
    Ui,
    /// From the queue to the database.
    Processor,
    /// The capture.
    Scout,
    /// A service that is merely there.
    Worker,
}

impl Role {
    /// Its name, as the launcher knows it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ui => "ui",
            Self::Processor => "processor",
            Self::Scout => "scout",
            Self::Worker => "worker",
        }
    }

    /// A journal with the prefix the launcher gives this role.
    pub fn journal(self, form: Form) -> Journal {
        let prefix = match self {
            Self::Ui => "",
            Self::Processor => "[PROCESSOR] ",
            Self::Scout => "[SCOUT]   ",
            Self::Worker => "[WORKER]  ",
        };
        Journal::new(prefix, form)
    }

    /// Whether a fault can make a difference to this role.
    pub fn suffers(self, fault: Fault) -> bool {
        match fault {
            Fault::Http503 | Fault::Push403 => self == Self::Ui,
            Fault::SqlDown => matches!(self, Self::Ui | Self::Processor),
            Fault::Die(_) | Fault::Hang { .. } | Fault::Leak(_) | Fault::Unhealthy | Fault::Burst(..) | Fault::Ok => true,
        }
    }
}
