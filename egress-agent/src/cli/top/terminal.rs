//! The screen of a real terminal, given back as it was whatever happens.

use std::{
    env,
    io::{self, IsTerminal as _},
    path::Path,
    sync::mpsc::{Receiver, Sender, channel},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use tokio::signal::unix::{SignalKind, signal};

use super::{
    dialog::Then,
    draw::draw,
    model::{Action, Key, Model},
    source,
};
use crate::control::{message::Reply, overview::Overview};

/// What the screen is drawn for.
#[derive(Debug)]
pub(super) enum News {
    Overview(Box<Overview>),
    /// Why the daemon did not answer.
    Gone(String),
    Answer(Then, Box<Result<Reply, String>>),
    Key(Key),
    /// The window has another size.
    Resized,
    /// A signal, or the terminal is no more.
    Stop,
}

/// Shows overviews until a key or a signal ends it.
pub(super) fn run(socket: &Path, session: Option<&str>, interval: Duration) -> anyhow::Result<()> {
    check(
        io::stdin().is_terminal() && io::stdout().is_terminal(),
        env::var("TERM").ok().as_deref(),
    )?;
    let first = source::overview(socket, session)?;
    let (tell, news) = channel();
    stop_on_signals(tell.clone())?;
    let wishes = source::start(
        socket.to_owned(),
        session.map(str::to_owned),
        interval,
        tell.clone(),
    )
    .context("start the thread that asks egressd")?;
    let no_color = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    // From here on a panic gives the terminal back too.
    let mut terminal = ratatui::try_init().context("take over the terminal")?;
    let shown = listen(tell)
        .context("start the thread that reads keys")
        .and_then(|()| show(&mut terminal, &first, &news, &wishes, !no_color));
    let restored = ratatui::try_restore().context("give the terminal back");
    shown.and(restored)
}

/// Whether there is a terminal that a picture can be drawn on.
fn check(is_terminal: bool, kind: Option<&str>) -> anyhow::Result<()> {
    const HINT: &str =
        "use `egressctl top --plain` for lines of text, or `egressctl top --once` for one picture";
    if !is_terminal {
        bail!("top draws on a terminal, and standard input or output is none: {HINT}");
    }
    match kind {
        None | Some("") => bail!("TERM is not set, so nothing is known of this terminal: {HINT}"),
        Some("dumb") => bail!("this terminal cannot move its cursor (TERM is `dumb`): {HINT}"),
        Some(_) => Ok(()),
    }
}

fn show(
    terminal: &mut ratatui::DefaultTerminal,
    first: &Overview,
    news: &Receiver<News>,
    wishes: &source::Wishes,
    color: bool,
) -> anyhow::Result<()> {
    let start = Instant::now();
    let mut model = Model::new();
    model.update(first, start.elapsed());
    loop {
        let mut page = 0;
        terminal
            .draw(|frame| page = draw(frame, &model, color))
            .context("draw")?;
        model.drew(page);
        // All that has come meanwhile is one picture.
        let mut next = news.recv().ok();
        while let Some(one) = next {
            match one {
                News::Overview(overview) => model.update(&overview, start.elapsed()),
                News::Gone(why) => model.lose(&why),
                News::Answer(then, reply) => model.answered(then, *reply),
                News::Resized => {}
                News::Stop => return Ok(()),
                News::Key(key) => match model.key(key) {
                    Some(Action::Quit) => return Ok(()),
                    Some(Action::Ask(request, then)) => {
                        wishes
                            .send((request, then))
                            .context("the thread that asks egressd has ended")?;
                    }
                    None => {}
                },
            }
            next = news.try_recv().ok();
        }
    }
}

/// Reads keys on a thread of its own: it sleeps while none comes.
fn listen(news: Sender<News>) -> io::Result<()> {
    let thread = thread::Builder::new().name("keys".to_owned());
    thread.spawn(move || {
        loop {
            let one = match event::read() {
                Ok(Event::Key(key)) => self::key(key).map(News::Key),
                Ok(Event::Resize(_, _)) => Some(News::Resized),
                Ok(Event::FocusGained | Event::FocusLost | Event::Mouse(_) | Event::Paste(_)) => {
                    None
                }
                Err(_) => Some(News::Stop),
            };
            let is_over = matches!(one, Some(News::Stop));
            if one.is_some_and(|one| news.send(one).is_err()) || is_over {
                return;
            }
        }
    })?;
    Ok(())
}

fn key(event: KeyEvent) -> Option<Key> {
    const NAMED: [(KeyCode, Key); 12] = [
        (KeyCode::Enter, Key::Enter),
        (KeyCode::Esc, Key::Escape),
        (KeyCode::Tab, Key::Tab),
        (KeyCode::BackTab, Key::BackTab),
        (KeyCode::Up, Key::Up),
        (KeyCode::Down, Key::Down),
        (KeyCode::PageUp, Key::PageUp),
        (KeyCode::PageDown, Key::PageDown),
        (KeyCode::Home, Key::Home),
        (KeyCode::End, Key::End),
        (KeyCode::Backspace, Key::Backspace),
        (KeyCode::Delete, Key::Backspace),
    ];
    if event.kind == KeyEventKind::Release {
        return None;
    }
    let is_control = event
        .modifiers
        .intersects(KeyModifiers::CONTROL | KeyModifiers::ALT);
    if let KeyCode::Char(c) = event.code {
        return match (c, is_control) {
            ('c', true) => Some(Key::Interrupt),
            (_, true) => None,
            (c, false) => Some(Key::Char(c)),
        };
    }
    let mut named = NAMED.iter();
    named
        .find(|(code, _)| *code == event.code)
        .map(|(_, key)| *key)
}

/// A signal ends the program as a key does: the terminal is given back.
fn stop_on_signals(news: Sender<News>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .context("wait for signals")?;
    let (mut terminate, mut hangup, mut interrupt) = {
        let _inside = runtime.enter();
        (
            signal(SignalKind::terminate())?,
            signal(SignalKind::hangup())?,
            signal(SignalKind::interrupt())?,
        )
    };
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = hangup.recv() => {}
                    _ = interrupt.recv() => {}
                }
            });
            // It may have ended by itself.
            drop(news.send(News::Stop));
        })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminals_that_cannot_show_it_are_refused_with_what_to_do() {
        for (is_terminal, kind) in [
            (false, Some("xterm")),
            (true, Some("dumb")),
            (true, Some("")),
            (true, None),
        ] {
            let error = check(is_terminal, kind).unwrap_err().to_string();
            assert!(error.contains("egressctl top --plain"), "{error}");
        }
        assert!(check(true, Some("linux")).is_ok());
    }

    #[test]
    fn keys_are_what_they_seem() {
        let plain = |code| key(KeyEvent::new(code, KeyModifiers::NONE));
        assert_eq!(plain(KeyCode::Char('G')), Some(Key::Char('G')));
        assert_eq!(plain(KeyCode::Up), Some(Key::Up));
        assert_eq!(plain(KeyCode::F(3)), None);
        let control = |c| key(KeyEvent::new(KeyCode::Char(c), KeyModifiers::CONTROL));
        assert_eq!(control('c'), Some(Key::Interrupt));
        // Ctrl-Y is no `y`.
        assert_eq!(control('y'), None);
    }
}
