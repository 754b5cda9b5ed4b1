use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use super::Scene;

const PATIENCE: Duration = Duration::from_secs(20);

/// A shell command line on a terminal of its own, with a person in front of it.
pub(crate) struct Terminal {
    child: Child,
    keyboard: ChildStdin,
    screen: Receiver<Vec<u8>>,
    shown: String,
    /// How much of what is shown was looked at.
    seen: usize,
}

impl Terminal {
    /// Starts the line in the scene's environment, with more variables.
    pub(crate) fn start<const N: usize>(
        scene: &Scene,
        line: &str,
        more: [(&str, &str); N],
    ) -> Self {
        let mut child = Command::new("/usr/bin/script")
            .args(["-qefc", line, "/dev/null"])
            .env_clear()
            .env("PATH", scene.search_path())
            .env("SHELL", "/bin/sh")
            .env("TERM", "xterm")
            .envs(more)
            .current_dir(scene.work(""))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut stdout = child.stdout.take().unwrap();
        let (sender, screen) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count) = stdout.read(&mut buffer)
                && count > 0
                && sender.send(buffer[..count].to_vec()).is_ok()
            {}
        });
        let keyboard = child.stdin.take().unwrap();
        Self {
            child,
            keyboard,
            screen,
            shown: String::new(),
            seen: 0,
        }
    }

    /// Waits until a text appears behind what was seen before.
    #[track_caller]
    pub(crate) fn sees(&mut self, text: &str) -> &mut Self {
        let start = Instant::now();
        loop {
            if let Some(at) = self.shown[self.seen..].find(text) {
                self.seen += at + text.len();
                return self;
            }
            let left = PATIENCE.saturating_sub(start.elapsed());
            match self.screen.recv_timeout(left) {
                Ok(bytes) => self.shown.push_str(&String::from_utf8_lossy(&bytes)),
                Err(error) => panic!("{error}: no {text:?} in:\n{}", self.shown),
            }
        }
    }

    /// Types a text as it is; Enter is a carriage return.
    pub(crate) fn types(&mut self, text: &str) -> &mut Self {
        self.keyboard.write_all(text.as_bytes()).unwrap();
        self.keyboard.flush().unwrap();
        self
    }

    /// Waits for the end; returns the exit status and everything that was shown.
    pub(crate) fn ends(mut self) -> (Option<i32>, String) {
        while let Ok(bytes) = self.screen.recv_timeout(PATIENCE) {
            self.shown.push_str(&String::from_utf8_lossy(&bytes));
        }
        let status = self.child.wait().unwrap();
        (status.code(), std::mem::take(&mut self.shown))
    }
}

/// Without its keyboard the terminal hangs up, which ends what runs on it.
impl Drop for Terminal {
    fn drop(&mut self) {
        let _may_have_ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}
