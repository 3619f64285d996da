"""The table of the hostile suite."""

from scripts.bench.hostile import table


def test_every_count_is_in_the_table():
    counts = {
        "hostile_files": 11,
        "hostile_files_taken": 12,
        "hostile_files_refused": 13,
        "hostile_peak_mb": 14,
        "hostile_cap_mb": 15,
        "hostile_neighbours_stored": 16,
        "hostile_files_ingested": 17,
        "tenant_steps": 18,
        "tenant_attacks": 19,
        "hostile_decoders": 20,
    }
    written = table(counts)
    assert [count for count in counts.values() if str(count) not in written] == []
    assert len(written.splitlines()) == 7
