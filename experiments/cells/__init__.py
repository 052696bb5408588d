"""Grids of resumable runs.

A run of runs is a list of cells (`cell.Cell`), each a piece of work that is done once. `run.run_cells` does those that
are not done yet, in a folder that several processes may share; `folder.CellFolder` is what the disk holds of one;
`status.status_table` shows where all of them stand.
"""
