//! Columns for people.

/// Lines up rows under their headings. Control characters are shown, not sent to the terminal: names come from others.
pub(super) fn render(headings: &[&str], rows: &[Vec<String>]) -> String {
    let clean: Vec<Vec<String>> = std::iter::once(headings.iter().map(ToString::to_string).collect())
        .chain(rows.iter().map(|row| row.iter().map(|cell| harmless(cell)).collect()))
        .collect();
    let widths: Vec<usize> = (0..headings.len())
        .map(|column| clean.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max())
        .map(Option::unwrap_or_default)
        .collect();
    let mut text = String::new();
    for row in &clean {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:<width$}")).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
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

    #[test]
    fn columns_line_up_and_escapes_stay_inert() {
        let rows = [vec!["a".to_owned(), "\u{1b}[31mred".to_owned()]];
        assert_eq!(render(&["NAME", "STATUS"], &rows), "NAME  STATUS\na     \\u{1b}[31mred\n");
    }
}
