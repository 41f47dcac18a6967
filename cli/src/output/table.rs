//! Tables that fit the terminal. Where the output is no terminal, lines are as long as they need to be.
//!
//! INVARIANT: cells hold text that [`super::text`] made safe; a table adds nothing to it.

use comfy_table::{ContentArrangement, Table, presets};

/// Narrower than this, tables are unreadable anyway.
const WIDTH_MIN: u16 = 60;

/// A table with a line of headings.
pub(crate) fn table<const N: usize>(
    headings: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let mut table = plain();
    table.set_header(headings.map(str::to_uppercase));
    table.add_rows(rows);
    fitted(table)
}

/// Names and what they stand for. Those that stand for nothing are left out.
pub(crate) fn sheet<'a>(rows: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let mut table = plain();
    for (name, value) in rows {
        if !value.is_empty() {
            table.add_row([name.to_owned(), value]);
        }
    }
    fitted(table)
}

fn plain() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    match terminal_size::terminal_size_of(std::io::stdout()) {
        Some((terminal_size::Width(width), _)) => {
            table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width.max(WIDTH_MIN))
        }
        None => table.set_content_arrangement(ContentArrangement::Disabled),
    };
    table
}

fn fitted(mut table: Table) -> String {
    table.column_iter_mut().for_each(|column| {
        column.set_padding((0, 2));
    });
    table.trim_fmt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let text = table(
            ["id", "status"],
            [["1".to_owned(), "requested".to_owned()], ["22".to_owned(), "ended".to_owned()]],
        );
        assert_eq!(text, "ID  STATUS\n1   requested\n22  ended");
    }

    #[test]
    fn what_is_not_set_has_no_line() {
        assert_eq!(sheet([("A", "1".to_owned()), ("B", String::new())]), "A  1");
    }
}
