//! Restores the order and the grid of the panes of a running session.

use crate::adapters::tmux::client::Batch;
use crate::adapters::tmux::error::TmuxError;
use crate::adapters::tmux::layout::grid::{self, PaneCell, Size};
use crate::adapters::tmux::pane::{PaneId, PaneInfo};
use crate::adapters::tmux::server::Tmux;

impl Tmux {
    /// Arranges the panes of each window of ours in the roster's order and in an even grid. Panes that a
    /// person opened there come last.
    ///
    /// # Errors
    /// [`TmuxError::NoSpace`] when a window is too small, and the general ones.
    pub fn arrange(&self, session: &str) -> Result<Vec<PaneInfo>, TmuxError> {
        // Every pane in a window of ours takes part, also a helper that a person moved there.
        let panes = self.all_panes_after(session, &mut Batch::default())?;
        let mut batch = Batch::default();
        for window in by_window(&panes) {
            if window.iter().all(|pane| pane.place.is_none()) {
                continue;
            }
            arrange_window(&window, &mut batch)?;
        }
        self.panes_after(session, &mut batch)
    }
}

/// Returns the panes of each window, by their index in it.
fn by_window(panes: &[PaneInfo]) -> Vec<Vec<&PaneInfo>> {
    let mut sorted: Vec<&PaneInfo> = panes.iter().collect();
    sorted.sort_by_key(|pane| (pane.window_index, pane.pane_index));
    sorted.chunk_by(|one, next| one.window_id == next.window_id).map(<[_]>::to_vec).collect()
}

/// Returns the panes of a window in the intended order: the roster's, then a person's own.
fn in_order<'a>(window: &[&'a PaneInfo]) -> Vec<&'a PaneInfo> {
    let mut wanted = window.to_vec();
    wanted.sort_by_key(|pane| (pane.place.is_none(), pane.place, pane.pane_index));
    wanted
}

fn size_of(window: &[&PaneInfo]) -> Size {
    window
        .first()
        .map_or(Size { width: 0, height: 0 }, |p| Size { width: p.window_width, height: p.window_height })
}

/// Returns whether each pane is at its place in the grid. (The line above the panes belongs to those of the
/// first row, so the lower edge is compared.)
pub(crate) fn is_even(panes: &[PaneInfo]) -> bool {
    by_window(panes).iter().all(|window| {
        let Some(cells) = grid::pane_cells(&grid::rows(window.len()), size_of(window)) else { return false };
        let at = |cell: &PaneCell| (cell.left, cell.size.width, cell.top + cell.size.height);
        let there = in_order(window).into_iter().map(|p| (p.left, p.width, p.top + p.height));
        cells.iter().flatten().map(at).eq(there)
    })
}

/// Adds the commands that arrange a window's panes.
fn arrange_window(window: &[&PaneInfo], batch: &mut Batch) -> Result<(), TmuxError> {
    let mut order: Vec<PaneId> = window.iter().map(|pane| pane.pane_id).collect();
    let wanted: Vec<PaneId> = in_order(window).iter().map(|pane| pane.pane_id).collect();
    for (i, id) in wanted.iter().enumerate() {
        let at = order.iter().position(|other| other == id).expect("both have the same panes");
        if at != i {
            batch.push(["swap-pane", "-d", "-s", &id.to_string(), "-t", &order[i].to_string()]);
            order.swap(i, at);
        }
    }
    let [first, _, ..] = wanted.as_slice() else { return Ok(()) };
    let ids: Vec<u32> = wanted.iter().map(|id| id.number()).collect();
    let layout = grid::layout_string(&grid::rows(ids.len()), size_of(window), &ids);
    let layout = layout.ok_or(TmuxError::NoSpace)?;
    batch.push(["select-layout", "-t", &first.to_string(), &layout]);
    Ok(())
}
