use std::fmt;

use super::action::{Action, ActionSet};
use super::agent::{Agent, AgentName};
use super::id::Id;
use super::operation::{Objects, Operation};
use super::request::Approved;
use super::scope::Scope;
use super::time::{Moment, Span, Timestamp, Uptime};

/// How far the wall clock may lie before the issue of a grant and still be believed.
const CLOCK_SLACK_MS: i64 = 2000;

/// The directory that a pinned grant was given for (PATH-10, PATH-27).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pin {
    pub(crate) device: u64,
    pub(crate) inode: u64,
    /// Birth time in nanoseconds since 1970; an inode number used again has another one.
    pub(crate) born: i64,
}

/// When a grant may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) issued_at: Timestamp,
    pub(crate) not_before: Timestamp,
    pub(crate) expires_at: Timestamp,
    /// The boot it was issued in, and the time since that boot at which it ends.
    pub(crate) deadline: Uptime,
}

/// How a window stands to an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WindowState {
    NotYet,
    Open,
    Expired,
    /// The wall clock stands before the issue: it was set back, and the window means nothing.
    ClockSetBack,
}

impl Window {
    /// Judges by both clocks; the stricter one holds (TIME-01, TIME-03, TIME-09).
    pub(crate) fn state(&self, now: &Moment) -> WindowState {
        if now.wall.since(self.issued_at) < -CLOCK_SLACK_MS {
            return WindowState::ClockSetBack;
        }
        let same_boot = now.uptime.boot == self.deadline.boot;
        if now.wall >= self.expires_at
            || (same_boot && now.uptime.milliseconds >= self.deadline.milliseconds)
        {
            return WindowState::Expired;
        }
        if now.wall < self.not_before {
            WindowState::NotYet
        } else {
            WindowState::Open
        }
    }
}

impl Window {
    /// Returns the part of `span` in which the window stands to the clocks as it does now.
    pub(crate) fn steady(&self, span: Span, now: &Moment) -> Span {
        let believed_from = Timestamp(self.issued_at.0.saturating_sub(CLOCK_SLACK_MS));
        let span = [believed_from, self.not_before, self.expires_at]
            .into_iter()
            .fold(span, |span, instant| span.cut_at(instant, now));
        if now.uptime.boot == self.deadline.boot {
            span.cut_at_uptime(self.deadline.milliseconds, now)
        } else {
            span
        }
    }
}

/// How a grant ended before its uses did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Revoked,
    Expired,
}

/// The permission that results from an approval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Grant {
    pub(crate) id: Id,
    pub(crate) request: Id,
    /// Nobody named: any agent of `uid`.
    pub(crate) agent: Option<AgentName>,
    pub(crate) uid: u32,
    pub(crate) actions: ActionSet,
    pub(crate) scope: Scope,
    pub(crate) pin: Option<Pin>,
    /// The key of the one operation that it permits; nothing: any in its scope.
    pub(crate) operation: Option<[u8; 32]>,
    pub(crate) reason: String,
    pub(crate) window: Window,
    /// None: as often as the window allows.
    pub(crate) uses_left: Option<u32>,
    pub(crate) approved_by: String,
    pub(crate) ended: Option<(Ending, Timestamp)>,
}

/// Why a grant does not permit an attempt although its scope covers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shortfall {
    OtherAgent,
    OtherAction,
    Revoked,
    Expired,
    NotYet,
    ClockSetBack,
    UsedUp,
    /// Pinned to a directory that is not there any more.
    Replaced,
    /// For one command, which is another or has changed since.
    OtherCommand,
    /// The program is one that its owner can change, and the grant does not say which content.
    Changeable,
}

impl fmt::Display for Shortfall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OtherAgent => "for another agent",
            Self::OtherAction => "for another operation",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
            Self::NotYet => "not begun",
            Self::ClockSetBack => "given after the time that the clock says now",
            Self::UsedUp => "used up",
            Self::Replaced => "pinned to a directory that was replaced",
            Self::OtherCommand => "for another command, or the program changed since",
            Self::Changeable => "not bound to this program's content, which its owner can change",
        })
    }
}

impl Grant {
    /// Makes the grant that an approval is for.
    ///
    /// Returns nothing when its end cannot be represented.
    pub(crate) fn issue(id: Id, approved: Approved, now: &Moment) -> Option<Self> {
        let (request, approved_by) = approved.into_parts();
        let not_before = request.not_before.unwrap_or(now.wall).max(now.wall);
        let expires_at = not_before.checked_add(request.ttl)?;
        let deadline = now
            .uptime
            .milliseconds
            .checked_add(expires_at.since(now.wall))?;
        Some(Self {
            id,
            request: request.id,
            agent: request.agent,
            uid: request.uid,
            actions: request.actions,
            scope: request.scope,
            pin: request.pin,
            operation: request.operation,
            reason: request.reason,
            window: Window {
                issued_at: now.wall,
                not_before,
                expires_at,
                deadline: Uptime {
                    boot: now.uptime.boot,
                    milliseconds: deadline,
                },
            },
            uses_left: request.uses,
            approved_by,
            ended: None,
        })
    }

    /// Says why this grant is of no use for `action` by `agent` now, or nothing when it is of use.
    ///
    /// The scope is not looked at. `root_unchanged` is what the file system said of the pin.
    pub(crate) fn shortfall(
        &self,
        agent: &Agent,
        action: Action,
        root_unchanged: bool,
        now: &Moment,
    ) -> Option<Shortfall> {
        if self.uid != agent.uid || self.agent.as_ref().is_some_and(|name| *name != agent.name) {
            return Some(Shortfall::OtherAgent);
        }
        if !self.actions.contains(action) {
            return Some(Shortfall::OtherAction);
        }
        match (self.ended, self.window.state(now)) {
            (Some((Ending::Revoked, _)), _) => return Some(Shortfall::Revoked),
            (Some((Ending::Expired, _)), _) | (_, WindowState::Expired) => {
                return Some(Shortfall::Expired);
            }
            (_, WindowState::NotYet) => return Some(Shortfall::NotYet),
            (_, WindowState::ClockSetBack) => return Some(Shortfall::ClockSetBack),
            (None, WindowState::Open) => {}
        }
        if self.uses_left == Some(0) {
            return Some(Shortfall::UsedUp);
        }
        (self.pin.is_some() && !root_unchanged).then_some(Shortfall::Replaced)
    }

    /// Says why this grant is of no use for exactly this operation, or nothing.
    pub(crate) fn falls_short_of(&self, operation: &Operation) -> Option<Shortfall> {
        match (self.operation, &operation.objects) {
            (Some(key), _) => (key != operation.key()).then_some(Shortfall::OtherCommand),
            (None, Objects::Command(command)) if command.digest.is_some() => {
                Some(Shortfall::Changeable)
            }
            (None, _) => None,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::super::scope::PathScope;
    use super::*;

    pub(crate) const BOOT: [u8; 16] = [7; 16];

    pub(crate) fn moment(wall: i64) -> Moment {
        Moment {
            wall: Timestamp(wall),
            uptime: Uptime {
                boot: BOOT,
                milliseconds: wall / 2,
            },
        }
    }

    pub(crate) fn agent() -> Agent {
        Agent {
            name: AgentName::default(),
            uid: 1000,
            pid: 1,
        }
    }

    /// A grant for `rm` on `path` from 10,000 ms for one minute.
    pub(crate) fn grant(path: &str) -> Grant {
        let issued = moment(10_000);
        let number = path.bytes().fold(0_u8, u8::wrapping_add);
        Grant {
            id: Id::from_random([number; 16]).unwrap(),
            request: Id::from_random([0; 16]).unwrap(),
            agent: None,
            uid: 1000,
            actions: ActionSet::of(&[Action::Rm]).unwrap(),
            scope: PathScope::new(Path::new(path)).unwrap().into(),
            pin: None,
            operation: None,
            reason: String::new(),
            window: Window {
                issued_at: issued.wall,
                not_before: issued.wall,
                expires_at: Timestamp(70_000),
                deadline: Uptime {
                    boot: BOOT,
                    milliseconds: 65_000,
                },
            },
            uses_left: None,
            approved_by: "uid 1000".to_owned(),
            ended: None,
        }
    }

    fn shortfall(grant: &Grant, now: &Moment) -> Option<Shortfall> {
        grant.shortfall(&agent(), Action::Rm, true, now)
    }

    #[test]
    fn time_01_setting_the_wall_clock_back_extends_nothing() {
        let mut now = moment(60_000);
        assert_eq!(shortfall(&grant("/a"), &now), None);
        now.uptime.milliseconds = 65_000;
        assert_eq!(shortfall(&grant("/a"), &now), Some(Shortfall::Expired));
        assert_eq!(
            shortfall(&grant("/a"), &moment(5_000)),
            Some(Shortfall::ClockSetBack)
        );
    }

    #[test]
    fn time_02_once_expired_stays_expired() {
        let ended = Grant {
            ended: Some((Ending::Expired, Timestamp(1))),
            ..grant("/a")
        };
        assert_eq!(shortfall(&ended, &moment(20_000)), Some(Shortfall::Expired));
    }

    #[test]
    fn time_03_after_a_reboot_the_wall_clock_alone_decides() {
        let mut now = moment(60_000);
        now.uptime = Uptime {
            boot: [8; 16],
            milliseconds: 1_000_000,
        };
        assert_eq!(shortfall(&grant("/a"), &now), None);
        now.wall = Timestamp(70_000);
        assert_eq!(shortfall(&grant("/a"), &now), Some(Shortfall::Expired));
    }

    #[test]
    fn time_09_both_ends_of_the_window_hold() {
        let mut later = grant("/a");
        later.window.not_before = Timestamp(30_000);
        assert_eq!(shortfall(&later, &moment(29_999)), Some(Shortfall::NotYet));
        assert_eq!(shortfall(&later, &moment(30_000)), None);
        assert_eq!(shortfall(&later, &moment(70_000)), Some(Shortfall::Expired));
    }

    proptest! {
        #[test]
        fn p_d57_within_a_steady_span_a_window_stands_as_it_did(
            wall in 0_i64..90_000, later in 0_i64..90_000,
            uptime in 0_i64..90_000, uptime_later in 0_i64..90_000,
            start in 10_000_i64..60_000,
        ) {
            let mut window = grant("/a").window;
            window.not_before = Timestamp(start);
            let at = |wall, milliseconds| Moment {
                wall: Timestamp(wall),
                uptime: Uptime { boot: BOOT, milliseconds },
            };
            let (now, then) = (at(wall, uptime), at(later, uptime_later));
            let span = window.steady(Span::of_boot(&now), &now);
            prop_assert!(span.includes(&now));
            if span.includes(&then) {
                prop_assert_eq!(window.state(&now), window.state(&then));
            }
            let other_boot = Moment { uptime: Uptime { boot: [8; 16], ..now.uptime }, ..now };
            prop_assert!(!span.includes(&other_boot));
        }
    }

    #[test]
    fn a_grant_is_for_its_agent_its_uid_and_its_actions() {
        let now = moment(20_000);
        let named = Grant {
            agent: Some(AgentName::parse("a").unwrap()),
            ..grant("/a")
        };
        assert_eq!(shortfall(&named, &now), Some(Shortfall::OtherAgent));
        let other = Agent {
            uid: 1001,
            ..agent()
        };
        let by_other = grant("/a").shortfall(&other, Action::Rm, true, &now);
        assert_eq!(by_other, Some(Shortfall::OtherAgent));
        let trash = grant("/a").shortfall(&agent(), Action::Trash, true, &now);
        assert_eq!(trash, Some(Shortfall::OtherAction));
    }

    #[test]
    fn a_used_up_or_replaced_grant_permits_nothing() {
        let now = moment(20_000);
        let spent = Grant {
            uses_left: Some(0),
            ..grant("/a")
        };
        assert_eq!(shortfall(&spent, &now), Some(Shortfall::UsedUp));
        let pinned = Grant {
            pin: Some(Pin {
                device: 1,
                inode: 2,
                born: 3,
            }),
            ..grant("/a")
        };
        assert_eq!(shortfall(&pinned, &now), None);
        let replaced = pinned.shortfall(&agent(), Action::Rm, false, &now);
        assert_eq!(replaced, Some(Shortfall::Replaced));
    }
}
