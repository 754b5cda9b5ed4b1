//! What the demo tells. Every sentence here is about what the commands beside it really do.

/// The name of the agent.
pub(super) const AGENT: &str = "robot";

/// Who types a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    Agent,
    Person,
}

impl Who {
    pub(super) fn prompt(self) -> &'static str {
        match self {
            Self::Agent => "robot$",
            Self::Person => "you$",
        }
    }
}

/// A command, how it has to end, and what must stand there then and what not.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) who: Who,
    /// Words without blanks in them; `{here}` stands for the directory of the demo, `{entry}` for the
    /// number of the last entry in the trail.
    pub(super) words: &'static str,
    pub(super) status: i32,
    pub(super) stays: &'static [&'static str],
    pub(super) gone: &'static [&'static str],
}

/// What a chapter cannot be told without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    Git,
    /// A trash that leaves nothing behind outside of the home directory.
    Trash,
}

impl Need {
    /// Returns what is said where it is missing.
    pub(super) fn missing(self) -> &'static str {
        match self {
            Self::Git => "Left out: git is missing here, or too old for this.",
            Self::Trash => "Left out: there is no home directory with a trash for this place.",
        }
    }
}

/// A heading, what is run under it, and what that means.
#[derive(Debug)]
pub(super) struct Chapter {
    pub(super) title: &'static str,
    pub(super) needs: Option<Need>,
    pub(super) commands: &'static [Command],
    pub(super) why: &'static str,
}

const fn agent(words: &'static str, status: i32) -> Command {
    Command {
        who: Who::Agent,
        words,
        status,
        stays: &[],
        gone: &[],
    }
}

const fn person(words: &'static str, status: i32) -> Command {
    Command {
        who: Who::Person,
        ..agent(words, status)
    }
}

pub(super) const OPENING: &str = "\
    robot$ is an agent, you$ is its person. With approver.unattended this program can play your \
    part as well; without it, which is the default, pvm gives no grant where it can tell that an \
    agent is calling.";

pub(super) const STORY: &[Chapter] = &[
    Chapter {
        title: "An agent deletes a directory that nobody allowed it to delete",
        needs: None,
        commands: &[Command {
            stays: &["build"],
            ..agent("safe-rm -rf build", 1)
        }],
        why: "No grant covers the path, so nothing ran. The hint is what a person can type.",
    },
    Chapter {
        title: "You allow it: this agent, this path, ten minutes",
        needs: None,
        commands: &[person(
            "pvm grant --scope {here}/build --ttl 10m --agent robot",
            0,
        )],
        why: "The grant is in the vault. It ends by itself, or when you revoke it.",
    },
    Chapter {
        title: "The same command again",
        needs: None,
        commands: &[Command {
            gone: &["build"],
            ..agent("safe-rm -rf build", 0)
        }],
        why: "The decision was written to the trail first; then safe-rm became the real rm. Where \
              the kernel has Landlock, that rm could delete files below build and nowhere else.",
    },
    Chapter {
        title: "A directory whose name merely begins the same",
        needs: None,
        commands: &[Command {
            stays: &["build-old"],
            ..agent("safe-rm -rf build-old", 1)
        }],
        why: "Scopes are compared by whole components: .../build does not cover .../build-old.",
    },
    Chapter {
        title: "A path that only reads as if it were inside",
        needs: None,
        commands: &[
            agent("mkdir build", 0),
            agent("ln -s ../documents/drafts build/drafts", 0),
            Command {
                stays: &["documents/thesis.txt"],
                ..agent("safe-rm build/drafts/../thesis.txt", 1)
            },
        ],
        why: "Read as text, this is build/thesis.txt. The kernel follows the link first, so rm \
              would have deleted the file in documents; that is the path that was looked for among \
              the grants.",
    },
    Chapter {
        title: "A file goes to the trash, and comes back",
        needs: Some(Need::Trash),
        commands: &[
            person(
                "pvm grant --op trash --scope {here}/documents --ttl 10m --agent robot",
                0,
            ),
            Command {
                gone: &["documents/thesis.txt"],
                ..agent("safe-trash documents/thesis.txt", 0)
            },
            Command {
                stays: &["documents/thesis.txt"],
                ..person("pvm undo {entry}", 0)
            },
        ],
        why: "This was the trash of your home directory. The number is that of the entry in the \
              trail, which knows where the file went; nothing is replaced by what comes back.",
    },
    Chapter {
        title: "A push that would overwrite what somebody else pushed",
        needs: Some(Need::Git),
        commands: &[
            agent("git -C project push --force origin main", 1),
            person("git -C shared.git log --format=%s main", 0),
        ],
        why: "The agent's git is pvm, which hands everything but pushes to the real one. A push \
              that only adds needs no grant; this one was worked out to overwrite, and nothing ran.",
    },
    Chapter {
        title: "You take the grants back",
        needs: None,
        commands: &[
            person("pvm revoke --agent robot", 0),
            Command {
                stays: &["build"],
                ..agent("safe-rm -rf build", 1)
            },
        ],
        why: "A revocation holds from the next command on, whatever time was left.",
    },
    Chapter {
        title: "Back to the defaults: an agent cannot give itself a grant",
        needs: None,
        commands: &[
            person("sed -i /unattended/d pvm/etc/pvm/pvm.toml", 0),
            agent("pvm grant --scope {here}/build", 1),
        ],
        why: "The name in its environment gave it away, as the marks of many agents would. That \
              stops mistakes: a hostile process under your uid could take such marks off.",
    },
    Chapter {
        title: "The trail: what was tried, and what came of it",
        needs: None,
        commands: &[
            person("pvm audit", 0),
            person("pvm audit verify", 0),
            // This also leaves nothing in the log beside the vault, where an edit would be undone.
            person("pvm backup copy.db", 0),
        ],
        why: "Every entry holds a hash over its fields and the hash of the entry before. The copy \
              is a whole vault in one file.",
    },
    Chapter {
        title: "Somebody edits the past",
        needs: None,
        commands: &[
            agent("sed -i s/build-old/build-new/ pvm/vault/vault.db", 0),
            person("pvm audit verify", 2),
        ],
        why: "An agent under your uid can write the vault, but an edit shows. What does not show \
              by itself is an end that was cut off, or an edit after which all later hashes were \
              written anew: for that, keep what 'pvm audit head' prints where no agent can write.",
    },
    Chapter {
        title: "What pvm does not stop",
        needs: None,
        commands: &[Command {
            gone: &["build"],
            ..agent("/bin/rm -rf build", 0)
        }],
        why: "This is advisory mode: it stops the mistakes of an agent that calls the wrappers. An \
              agent that calls another program is neither stopped nor recorded. The modes that the \
              kernel or another uid enforces are not built yet.",
    },
];
