"""Every scenario, one after the other, on the chosen servers."""

import backlog
import fifo
import idle_polls
import latency
import receive_delete
import report
import send
import send_batch
import start

SCENARIOS: dict[str, report.Scenario] = {
    "start": start.scenario,
    "send": send.scenario,
    "send_batch": send_batch.scenario,
    "receive_delete": receive_delete.scenario,
    "fifo": fifo.scenario,
    "latency": latency.scenario,
    "idle_polls": idle_polls.scenario,
    "backlog": backlog.standard,
    "backlog_fifo": backlog.fifo,
}

if __name__ == "__main__":
    report.main(SCENARIOS)
