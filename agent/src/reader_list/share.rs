//! The share of each pod of the rows of a list.

use tokenwatch_core::base::shares::{Tenant, fitting};

/// As many of these rows as there is room for: those of the pod with most rows are left out, its
/// last ones first. Returns also how many are left out.
pub(super) fn shared<Row>(
    rows: Vec<Row>,
    most: usize,
    pod: impl Fn(&Row) -> (&Option<String>, &String),
) -> (Vec<Row>, usize) {
    let left_out = rows.len().saturating_sub(most);
    if left_out == 0 {
        return (rows, 0);
    }
    let tenant = |row: &Row| {
        let (namespace, uid) = pod(row);
        (Tenant { namespace: namespace.clone(), pod: Some(uid.clone()) }, 1)
    };
    let fits = fitting(most, &rows.iter().map(tenant).collect::<Vec<_>>());
    let rows = rows.into_iter().zip(fits).filter_map(|(row, fits)| fits.then_some(row));
    (rows.collect(), left_out)
}
