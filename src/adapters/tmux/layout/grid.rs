//! The grid of panes in a window: pure arithmetic, and tmux's layout string.
//!
//! Twelve panes are 4 columns × 3 rows, row by row (docs/rules.md R10.1).

/// How many panes one window holds; the thirteenth opens the next window.
pub const PANES_PER_WINDOW: usize = 12;

/// The size of a window, or of a cell, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Characters in a line.
    pub width: u32,
    /// Lines.
    pub height: u32,
}

/// The position of one pane, without borders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PaneCell {
    /// Characters left of it.
    pub left: u32,
    /// Lines above it.
    pub top: u32,
    /// How large it is.
    pub size: Size,
}

/// Smallest width and height of a cell: one line of text below its border line.
const CELL_MIN: u32 = 2;

/// Returns how many panes each row has, top row first, for `n` panes in one window.
///
/// 1; 2 and 3 side by side; 4 = 2×2; 5–6 = 3×2; 7–8 = 4×2; 9 = 3×3; 10–12 = 4×3. When the last row is not
/// full its panes are wider. More than twelve (a person added some) continue in rows of four.
#[must_use]
pub fn rows(n: usize) -> Vec<usize> {
    let columns = match n {
        0 => return Vec::new(),
        1 => 1,
        2 | 4 => 2,
        3 | 5 | 6 | 9 => 3,
        _ => 4,
    };
    let mut rows = vec![columns; n / columns];
    if !n.is_multiple_of(columns) {
        rows.push(n % columns);
    }
    rows
}

/// Returns how many panes each window has, for a roster of `n`.
#[must_use]
pub fn windows(n: usize) -> Vec<usize> {
    let mut windows = vec![PANES_PER_WINDOW; n / PANES_PER_WINDOW];
    if !n.is_multiple_of(PANES_PER_WINDOW) {
        windows.push(n % PANES_PER_WINDOW);
    }
    windows
}

/// Returns the name of window `group`, counted from 0: `workflow`, then `workflow-2` … (docs/rules.md R10.1).
#[must_use]
pub fn window_name(group: usize) -> String {
    if group == 0 { "workflow".to_owned() } else { format!("workflow-{}", group + 1) }
}

/// Divides `total` characters among `n` neighbours with one border character between any two; the first ones
/// get the remainder. `None` when one would be too small.
fn share(total: u32, n: usize) -> Option<Vec<u32>> {
    let n = u32::try_from(n).ok()?;
    let usable = total.checked_sub(n.checked_sub(1)?)?;
    let (each, over) = (usable / n, usable % n);
    (each >= CELL_MIN).then(|| (0..n).map(|i| each + u32::from(i < over)).collect())
}

/// Returns position and size of each pane of a grid, row by row from the top. `None` when the window is too small for them.
#[must_use]
pub fn pane_cells(rows: &[usize], size: Size) -> Option<Vec<Vec<PaneCell>>> {
    let mut top = 0;
    let mut out = Vec::with_capacity(rows.len());
    for (columns, height) in rows.iter().zip(share(size.height, rows.len())?) {
        let mut left = 0;
        let mut row = Vec::with_capacity(*columns);
        for width in share(size.width, *columns)? {
            row.push(PaneCell { left, top, size: Size { width, height } });
            left += width + 1;
        }
        out.push(row);
        top += height + 1;
    }
    Some(out)
}

/// Returns the layout of a window, as `tmux select-layout` takes it: the panes row by row, in the order of
/// `pane_ids` (the numbers after `%`). `None` when the window is too small, or when `rows` does not sum up to
/// the panes given.
#[must_use]
pub fn layout_string(rows: &[usize], size: Size, pane_ids: &[u32]) -> Option<String> {
    if pane_ids.is_empty() || rows.iter().sum::<usize>() != pane_ids.len() {
        return None;
    }
    let mut ids = pane_ids.iter();
    let mut lines = Vec::with_capacity(rows.len());
    for row in pane_cells(rows, size)? {
        let leaves: Vec<String> =
            row.iter().zip(ids.by_ref()).map(|(c, id)| format!("{},{id}", place(*c))).collect();
        let (first, last) = (row.first()?, row.last()?);
        let whole = Size { width: last.left + last.size.width, height: first.size.height };
        lines.push(match leaves.as_slice() {
            [only] => only.clone(),
            several => format!("{}{{{}}}", place(PaneCell { size: whole, ..*first }), several.join(",")),
        });
    }
    let body = match lines.as_slice() {
        [only] => only.clone(),
        several => format!("{}[{}]", place(PaneCell { left: 0, top: 0, size }), several.join(",")),
    };
    Some(format!("{:04x},{body}", checksum(&body)))
}

fn place(cell: PaneCell) -> String {
    format!("{}x{},{},{}", cell.size.width, cell.size.height, cell.left, cell.top)
}

/// Returns the checksum that tmux puts before a layout: rotate right by one bit, add the character.
fn checksum(body: &str) -> u16 {
    body.bytes().fold(0_u16, |sum, byte| sum.rotate_right(1).wrapping_add(u16::from(byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Size = Size { width: 240, height: 66 };

    #[test]
    fn twelve_panes_are_four_columns_and_three_rows() {
        assert_eq!(rows(12), [4, 4, 4]);
        let cells = pane_cells(&rows(12), SIZE).unwrap();
        let corners: Vec<Vec<(u32, u32)>> =
            cells.iter().map(|row| row.iter().map(|c| (c.left, c.top)).collect()).collect();
        let columns = [0, 61, 121, 181];
        assert_eq!(corners, [0, 23, 45].map(|top| columns.map(|left| (left, top)).to_vec()), "row by row");
    }

    #[test]
    fn every_number_of_panes_has_a_sensible_grid() {
        let drawn: Vec<Vec<usize>> = (1..=12).map(rows).collect();
        let wanted: [&[usize]; 12] = [
            &[1],
            &[2],
            &[3],
            &[2, 2],
            &[3, 2],
            &[3, 3],
            &[4, 3],
            &[4, 4],
            &[3, 3, 3],
            &[4, 4, 2],
            &[4, 4, 3],
            &[4, 4, 4],
        ];
        assert_eq!(drawn, wanted);
        assert_eq!(rows(0), Vec::<usize>::new());
        assert_eq!(rows(13), [4, 4, 4, 1]);
    }

    #[test]
    fn a_window_holds_twelve_and_the_next_one_the_rest() {
        for n in (1..=24).chain([40]) {
            let windows = windows(n);
            assert_eq!(windows.iter().sum::<usize>(), n);
            assert_eq!(windows.len(), n.div_ceil(12));
            assert!(windows[..windows.len() - 1].iter().all(|panes| *panes == 12));
        }
        assert_eq!(windows(40), [12, 12, 12, 4]);
        assert_eq!(
            [window_name(0), window_name(1), window_name(3)],
            ["workflow", "workflow-2", "workflow-4"]
        );
    }

    #[test]
    fn the_cells_fill_the_window_exactly() {
        for n in (1..=24).chain([40]) {
            let rows = rows(n);
            for size in [SIZE, Size { width: 80, height: 45 }, Size { width: 239, height: 67 }] {
                let cells = pane_cells(&rows, size).unwrap();
                for row in &cells {
                    let width: u32 = row.iter().map(|c| c.size.width + 1).sum();
                    assert_eq!(width - 1, size.width, "{n} panes");
                    assert!(row.iter().all(|c| c.top == row[0].top && c.size.height == row[0].size.height));
                }
                let height: u32 = cells.iter().map(|row| row[0].size.height + 1).sum();
                assert_eq!(height - 1, size.height, "{n} panes");
            }
        }
    }

    #[test]
    fn a_window_that_is_too_small_has_no_grid() {
        assert!(pane_cells(&rows(12), Size { width: 80, height: 24 }).is_some());
        assert!(pane_cells(&rows(12), Size { width: 11, height: 8 }).is_some());
        assert!(pane_cells(&rows(12), Size { width: 10, height: 8 }).is_none());
        assert!(pane_cells(&rows(12), Size { width: 11, height: 7 }).is_none());
        assert!(pane_cells(&rows(12), Size { width: 0, height: 0 }).is_none());
        assert!(layout_string(&rows(2), SIZE, &[1]).is_none());
        assert!(layout_string(&[], SIZE, &[]).is_none());
    }

    #[test]
    fn the_checksum_is_the_one_that_tmux_computes() {
        // Printed by tmux 3.3a as #{window_layout}.
        let body = "240x66,0,0[240x22,0,0{60x22,0,0,0,179x22,61,0,2},240x21,0,23,1,240x21,0,45,3]";
        assert_eq!(checksum(body), 0x04d1);
        assert_eq!(
            layout_string(&[2, 1], SIZE, &[0, 2, 1]).unwrap().split_once(',').unwrap().1,
            "240x66,0,0[240x33,0,0{120x33,0,0,0,119x33,121,0,2},240x32,0,34,1]"
        );
        assert_eq!(
            layout_string(&[2], SIZE, &[5, 6]).unwrap().split_once(',').unwrap().1,
            "240x66,0,0{120x66,0,0,5,119x66,121,0,6}"
        );
    }
}
