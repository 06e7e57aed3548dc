//! A flag for every setting, generated from the list of settings.

use std::marker::PhantomData;

use clap::{Arg, ArgAction, ArgMatches, Args, Command, Error, FromArgMatches};

use crate::config::{Flag, SETTINGS, Setting};

/// The settings that a command has flags for.
pub(super) trait Scope {
    /// Sections, and names of single settings.
    const PARTS: &'static [&'static str];
    /// Settings with a shorter flag for this command.
    const SHORTER: &'static [(&'static str, &'static str)] = &[];

    /// The settings themselves.
    fn settings() -> impl Iterator<Item = &'static Setting> {
        SETTINGS.iter().filter(|setting| {
            Self::PARTS.contains(&setting.section()) || Self::PARTS.contains(&setting.name)
        })
    }

    /// The flag of a setting for this command.
    fn flag(setting: &Setting) -> &'static str {
        Self::SHORTER
            .iter()
            .find(|(name, _)| *name == setting.name)
            .map_or(setting.flag, |(_, flag)| *flag)
    }
}

macro_rules! scopes {
    ($(
        #[doc = $doc:literal]
        $name:ident = [$($part:literal),*] $(shorter [$($setting:literal is $flag:literal),*])?;
    )*) => {
        $(
            #[doc = $doc]
            #[derive(Clone, Copy, Debug)]
            #[cfg_attr(not(feature = "demo"), allow(dead_code))] // one is for `demo` alone
            pub(super) struct $name;
            impl Scope for $name {
                const PARTS: &'static [&'static str] = &[$($part),*];
                $(const SHORTER: &'static [(&'static str, &'static str)] =
                    &[$(($setting, $flag)),*];)?
            }
        )*
    };
}

/// All settings.
#[derive(Clone, Copy, Debug)]
pub(super) struct Everything;

impl Scope for Everything {
    const PARTS: &'static [&'static str] = &[];

    fn settings() -> impl Iterator<Item = &'static Setting> {
        SETTINGS.iter()
    }
}

scopes! {
    #[doc = "Settings for reading tokens and clock once."]
    SingleScan = [
        "roots", "host_prefix", "node", "kubelet", "copies", "clock", "kubernetes.enabled",
        "kubernetes.kubeconfig", "http", "readers.verifiers", "log"
    ];
    #[doc = "Settings for looking at readers, or for asking the agent."]
    ReadersOnly = [
        "roots", "host_prefix", "node", "kubelet", "kubernetes.enabled", "kubernetes.kubeconfig",
        "http", "readers.verifiers", "log"
    ];
    #[doc = "Settings for judging one token, and for finding out why it is refused."]
    OneToken = [
        "roots", "host_prefix", "node", "kubelet", "clock", "kubernetes.enabled",
        "kubernetes.kubeconfig", "http", "readers.verifiers", "log"
    ];
    #[doc = "Settings for measuring the clock."]
    ClockOnly = ["host_prefix", "node", "clock", "log"] shorter [
        "clock.servers" is "server", "clock.pools" is "pool"
    ];
    #[doc = "Settings for the demo: its export and its log."]
    Exporting = ["otlp", "log"];
}

/// The flags on the command line.
#[derive(Clone, Debug)]
pub(super) struct Flags<S> {
    given: Vec<Flag>,
    scope: PhantomData<S>,
}

impl<S> Flags<S> {
    /// Each flag with all its values.
    pub(super) fn given(self) -> Vec<Flag> {
        self.given
    }
}

impl<S: Scope> FromArgMatches for Flags<S> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let texts = |setting: &&'static Setting| {
            matches.get_many::<String>(setting.name).map(|texts| texts.cloned().collect())
        };
        let flag =
            |setting| Some(Flag { setting, name: S::flag(setting), texts: texts(&setting)? });
        let given = S::settings().filter_map(flag).collect();
        Ok(Self { given, scope: PhantomData })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl<S: Scope> Args for Flags<S> {
    fn augment_args(command: Command) -> Command {
        S::settings().fold(command, |command, setting| command.arg(flag::<S>(setting)))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

fn flag<S: Scope>(setting: &'static Setting) -> Arg {
    let action = if setting.repeatable { ArgAction::Append } else { ArgAction::Set };
    Arg::new(setting.name)
        .long(S::flag(setting))
        .alias(setting.flag)
        .value_name(setting.value)
        .action(action)
        .allow_hyphen_values(false)
        .help(format!("{} [{}]", setting.doc, setting.variable()))
        .help_heading(heading(setting))
}

fn heading(setting: &Setting) -> &'static str {
    match setting.section() {
        "kubelet" => "Kubelet",
        "files" => "Files",
        "copies" => "Copies on the host",
        "readers" => "Readers",
        "clock" => "Clock",
        "alerts" => "Alerts",
        "otlp" => "OTLP export",
        "kubernetes" => "Kubernetes API",
        "apiserver" => "Logs of the API server",
        "http" => "HTTP server",
        "state" => "State",
        "log" => "Log",
        _ => "Node",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_has_a_flag_for_every_setting_and_each_section_a_heading() {
        let command = Flags::<Everything>::augment_args(Command::new("run"));
        let flags: Vec<&str> = command.get_arguments().filter_map(Arg::get_long).collect();
        for setting in SETTINGS {
            assert!(flags.contains(&setting.flag), "{}", setting.name);
            let is_of_node = setting.section().is_empty();
            assert_eq!(heading(setting) == "Node", is_of_node, "{}", setting.name);
        }
    }
}
