//! Columns for people. Control characters are shown, not sent to the terminal: names come from others.

use comfy_table::{Attribute, CellAlignment, Color, ColumnConstraint, ContentArrangement, Row, Table, Width, presets};

use super::screen::Screen;

/// Between two columns.
const GAP: u16 = 2;
/// The last column may be broken anywhere: so much of it stays together.
const LEAST_LAST: u16 = 20;

/// What a cell's colour says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Tone {
    #[default]
    Plain,
    Good,
    Weak,
    Bad,
    Faint,
}

#[derive(Clone, Debug)]
pub(super) struct Cell {
    text: String,
    tone: Tone,
    is_number: bool,
}

impl Cell {
    pub(super) fn new(text: &str) -> Self {
        Self::toned(text, Tone::Plain)
    }

    pub(super) fn toned(text: &str, tone: Tone) -> Self {
        Self { text: harmless(text), tone, is_number: false }
    }

    /// Several lines, one below the other.
    pub(super) fn lines<'a>(lines: impl IntoIterator<Item = &'a str>) -> Self {
        let lines: Vec<String> = lines.into_iter().map(harmless).collect();
        Self { text: lines.join("\n"), tone: Tone::Plain, is_number: false }
    }

    pub(super) fn number(number: Option<i64>) -> Self {
        Self { is_number: true, ..Self::new(&number.map(|number| number.to_string()).unwrap_or_default()) }
    }

    fn styled(&self) -> comfy_table::Cell {
        let cell = comfy_table::Cell::new(&self.text);
        let cell = if self.is_number { cell.set_alignment(CellAlignment::Right) } else { cell };
        match self.tone {
            Tone::Plain => cell,
            Tone::Good => cell.fg(Color::DarkGreen),
            Tone::Weak => cell.fg(Color::DarkYellow),
            Tone::Bad => cell.fg(Color::DarkRed).add_attribute(Attribute::Bold),
            Tone::Faint => cell.add_attribute(Attribute::Dim),
        }
    }
}

/// Lines up rows under their headings, for standard output; nothing if there are none.
pub(super) fn render(headings: &[&str], rows: &[Vec<Cell>]) -> String {
    arrange(headings, rows, Screen::stdout())
}

/// A row a record, in as many lines as the width asks for; where not even the longest words fit beside each other, a
/// line a cell instead.
fn arrange(headings: &[&str], rows: &[Vec<Cell>], screen: Screen) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let least = least_widths(headings, rows);
    let gaps = u16::try_from(least.len()).unwrap_or(u16::MAX).saturating_sub(1).saturating_mul(GAP);
    let needed = least.iter().fold(gaps, |sum, width| sum.saturating_add(*width));
    let mut table = bare(screen);
    if screen.width.is_some_and(|width| needed > width) {
        for (number, row) in rows.iter().enumerate() {
            if number > 0 {
                table.add_row(Row::new());
            }
            for (name, cell) in headings.iter().zip(row) {
                table.add_row([heading(name), Cell { is_number: false, ..cell.clone() }.styled()]);
            }
        }
    } else {
        table.set_header(headings.iter().map(|name| heading(name)).collect::<Vec<_>>());
        table.add_rows(rows.iter().map(|row| row.iter().map(Cell::styled).collect::<Vec<_>>()));
        // Of a column with its gap.
        let bound = |width: &u16| ColumnConstraint::LowerBoundary(Width::Fixed(width.saturating_add(GAP)));
        // The last column has what the others leave.
        table.set_constraints(least.iter().take(least.len().saturating_sub(1)).map(bound));
    }
    finish(table)
}

fn heading(name: &str) -> comfy_table::Cell {
    comfy_table::Cell::new(name).add_attribute(Attribute::Bold)
}

/// The width of each column's longest word.
fn least_widths(headings: &[&str], rows: &[Vec<Cell>]) -> Vec<u16> {
    let words = |text: &str| text.replace(' ', "\n");
    let mut table = Table::new();
    table.set_header(headings.iter().map(|name| words(name)).collect::<Vec<_>>());
    table.add_rows(rows.iter().map(|row| row.iter().map(|cell| words(&cell.text)).collect::<Vec<_>>()));
    let mut widths = table.column_max_content_widths();
    if let Some(last) = widths.last_mut() {
        *last = LEAST_LAST.min(*last);
    }
    widths
}

fn bare(screen: Screen) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    if screen.colour {
        table.enforce_styling()
    } else {
        table.force_no_tty()
    };
    table.style_text_only();
    if let Some(width) = screen.width {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    }
    table
}

fn finish(mut table: Table) -> String {
    let last = table.column_count().saturating_sub(1);
    for (number, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, if number == last { 0 } else { GAP }));
    }
    format!("{}\n", table.trim_fmt())
}

/// Sentences in lines of this width, with whole words, each line as far from the left as it was.
pub(super) fn flow(text: &str, width: Option<u16>) -> String {
    let Some(width) = width else { return text.to_owned() };
    let lines = text.lines().map(|line| {
        let words = line.trim_start_matches(' ');
        let indent = line.len().saturating_sub(words.len());
        let left = width.saturating_sub(u16::try_from(indent).unwrap_or(u16::MAX)).max(1);
        let mut table = bare(Screen { width: Some(left), colour: false });
        table.add_row([words]);
        let margin = " ".repeat(indent);
        finish(table).trim_end().lines().map(|line| format!("{margin}{line}")).collect::<Vec<_>>().join("\n")
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Control characters shown instead of sent.
pub(super) fn harmless(cell: &str) -> String {
    cell.chars()
        .map(|each| if each.is_control() { each.escape_default().to_string() } else { each.to_string() })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIPE: Screen = Screen { width: None, colour: false };
    const NARROW: Screen = Screen { width: Some(40), colour: false };

    fn row(cells: &[&str]) -> Vec<Cell> {
        cells.iter().map(|cell| Cell::new(cell)).collect()
    }

    #[test]
    fn columns_line_up_and_escapes_stay_inert() {
        let rows = [row(&["a", "\u{1b}[31mred"]), row(&["日本", "x"])];
        let text = arrange(&["NAME", "STATUS"], &rows, PIPE);
        assert_eq!(text, "NAME  STATUS\na     \\u{1b}[31mred\n日本  x\n");
        assert_eq!(arrange(&["NAME"], &[], PIPE), "");
    }

    #[test]
    fn programs_find_a_line_a_record_and_people_lines_that_fit() {
        let rows = [row(&["runner-1", "alice@example.com", &"word ".repeat(30)])];
        assert_eq!(arrange(&["NAME", "OWNER", "LABELS"], &rows, PIPE).lines().count(), 2);
        let text = arrange(&["NAME", "OWNER", "LABELS"], &rows, Screen { width: Some(80), colour: false });
        assert!(
            text.starts_with("NAME      OWNER              LABELS\nrunner-1  alice@example.com  word word"),
            "{text}"
        );
        assert!(text.lines().all(|line| line.chars().count() <= 80) && text.lines().count() > 3, "{text}");
    }

    #[test]
    fn what_does_not_fit_side_by_side_is_shown_one_below_the_other() {
        let rows = [row(&["a-name-of-25-characters-xx", "alice@example.com", "gpu"]), row(&["b", "bob", "x"])];
        let text = arrange(&["NAME", "OWNER", "LABELS"], &rows, NARROW);
        let expected = "NAME    a-name-of-25-characters-xx\nOWNER   alice@example.com\nLABELS  gpu\n\nNAME    b\n\
                        OWNER   bob\nLABELS  x\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn words_stay_whole_where_lines_break() {
        let rows = [row(&["GITHUB_WEBHOOK_SECRET_PREVIOUS", "not set", &"/a/long/path".repeat(9)])];
        let text = arrange(&["VARIABLE", "FROM", "VALUE"], &rows, Screen { width: Some(80), colour: false });
        assert!(text.contains("GITHUB_WEBHOOK_SECRET_PREVIOUS  not set  /a/long"), "{text}");
    }

    #[test]
    fn the_last_column_may_be_broken_anywhere() {
        let text = arrange(&["A", "VALUE"], &[row(&["a", &"x".repeat(100)])], NARROW);
        assert!(text.lines().count() == 4 && text.lines().all(|line| line.len() <= 40), "{text}");
    }

    #[test]
    fn colours_are_there_when_they_are_wanted_alone() {
        let rows = [vec![Cell::toned("error", Tone::Bad), Cell::number(Some(7))]];
        let coloured = arrange(&["LEVEL", "COUNT"], &rows, Screen { width: None, colour: true });
        assert!(coloured.contains("\u{1b}[") && coloured.contains("error"), "{coloured:?}");
        assert_eq!(arrange(&["LEVEL", "COUNT"], &rows, PIPE), "LEVEL  COUNT\nerror      7\n");
    }

    #[test]
    fn sentences_flow_and_keep_their_margin() {
        let text = format!("  {}\nshort", "word ".repeat(10).trim());
        let flown = flow(&text, Some(22));
        assert_eq!(flown, "  word word word word\n  word word word word\n  word word\nshort");
        assert_eq!(flow(&text, None), text);
    }
}
