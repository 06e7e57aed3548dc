//! The declaration of a setting, and the macro that declares all of them.

use super::kinds::Kind;
use super::mistakes::{Invalid, Problem};
use super::table::{SETTINGS, Settings};
use super::yaml::Spot;

/// The value given for a setting, before it is parsed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Input<'a> {
    /// A value in the file.
    Node(&'a Spot),
    /// A variable, or all uses of a flag.
    Texts(&'a [String]),
}

/// The declaration of one setting.
#[derive(Debug)]
pub struct Setting {
    /// Name in the file, with the section before a dot: `clock.servers`.
    pub name: &'static str,
    /// Description for `--help`: a noun phrase with its unit, and the default.
    pub doc: &'static str,
    /// The flag, without dashes.
    pub flag: &'static str,
    /// Placeholder of the value in help.
    pub value: &'static str,
    /// Whether the flag can be given several times.
    pub repeatable: bool,
    /// The standard OpenTelemetry variable that applies if the setting is not given, and the unit
    /// of its bare numbers.
    pub standard: Option<(&'static str, &'static str)>,
    pub(super) set: fn(&mut Settings, Input<'_>) -> Result<(), Vec<Problem>>,
    pub(super) show: fn(&Settings) -> Option<String>,
}

impl Setting {
    /// The environment variable: `TOKENWATCH_CLOCK_SERVERS`.
    pub fn variable(&self) -> String {
        format!("TOKENWATCH_{}", self.name.to_uppercase().replace('.', "_"))
    }

    /// The part before the dot; empty for a setting without a section.
    pub fn section(&self) -> &'static str {
        self.name.split_once('.').map_or("", |(section, _)| section)
    }

    /// The setting called `name`.
    pub fn named(name: &str) -> Option<&'static Self> {
        SETTINGS.iter().find(|setting| setting.name == name)
    }
}

/// Reads, checks and stores a value.
pub(super) fn set<T: Kind>(
    field: &mut T,
    input: Input<'_>,
    check: fn(&T) -> Result<(), Invalid>,
) -> Result<(), Vec<Problem>> {
    let value = match input {
        Input::Node(spot) => T::from_spot(spot)?,
        Input::Texts(texts) => T::from_texts(texts)?,
    };
    check(&value).map_err(|invalid| vec![Problem::here(invalid)])?;
    *field = value;
    Ok(())
}

/// The check of a setting that accepts every value of its type.
#[allow(clippy::unnecessary_wraps)] // as every other check
pub(super) fn anything<T>(_: &T) -> Result<(), Invalid> {
    Ok(())
}

/// Declares the settings: one struct per section, and the list [`SETTINGS`].
macro_rules! settings {
    (
        { $(
            $(#[doc = $doc:literal])*
            $field:ident: $ty:ty = $default:expr, --$flag:literal $value:literal
                $(, check $check:expr)? ;
        )* }
        $( $(#[doc = $section_doc:literal])* $section:ident: $Section:ident { $(
            $(#[doc = $inner_doc:literal])*
            $inner:ident: $inner_ty:ty = $inner_default:expr,
                --$inner_flag:literal $inner_value:literal
                $(, otel $standard:literal $unit:literal)? $(, check $inner_check:expr)? ;
        )* } )*
    ) => {
        /// The values of all settings.
        #[derive(Clone, Debug, PartialEq)]
        pub struct Settings {
            $( $(#[doc = $doc])* pub $field: $ty, )*
            $( $(#[doc = $section_doc])* pub $section: $Section, )*
        }

        impl Default for Settings {
            fn default() -> Self {
                Self { $( $field: $default, )* $( $section: $Section::default(), )* }
            }
        }

        $(
            $(#[doc = $section_doc])*
            #[derive(Clone, Debug, PartialEq)]
            pub struct $Section { $( $(#[doc = $inner_doc])* pub $inner: $inner_ty, )* }

            impl Default for $Section {
                fn default() -> Self {
                    Self { $( $inner: $inner_default, )* }
                }
            }
        )*

        /// The sections, with their descriptions.
        pub(super) const SECTIONS: &[(&str, &str)] =
            &[$( (stringify!($section), concat!($($section_doc),*)) ),*];

        /// All settings, in the order of `tokenwatch config`.
        pub static SETTINGS: &[Setting] = &[
            $( settings!(@one
                stringify!($field), concat!($($doc),*), [$field], $ty,
                $flag, $value, [$($check)?], []
            ), )*
            $( $( settings!(@one
                concat!(stringify!($section), ".", stringify!($inner)), concat!($($inner_doc),*),
                [$section.$inner], $inner_ty,
                $inner_flag, $inner_value, [$($inner_check)?], [$($standard, $unit)?]
            ), )* )*
        ];
    };
    (@one
        $name:expr, $doc:expr, [$($path:tt)+], $ty:ty,
        $flag:literal, $value:literal, [$($check:expr)?], [$($standard:literal, $unit:literal)?]
    ) => {
        Setting {
            name: $name,
            doc: $doc,
            flag: $flag,
            value: $value,
            repeatable: <$ty as Kind>::SEVERAL,
            standard: settings!(@standard $($standard, $unit)?),
            set: |settings, input| {
                set(&mut settings.$($path)+, input, settings!(@check $($check)?))
            },
            show: |settings| settings.$($path)+.show(),
        }
    };
    (@check $check:expr) => { $check };
    (@check) => { anything };
    (@standard $standard:literal, $unit:literal) => { Some(($standard, $unit)) };
    (@standard) => { None };
}
pub(super) use settings;
