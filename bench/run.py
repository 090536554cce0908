"""Every scenario, one after the other, on the chosen servers."""

import backlog
import cluster
import fifo
import idle_polls
import kinesis_fan_out
import kinesis_get
import kinesis_put
import kinesis_reshard
import latency
import receive_delete
import report
import send
import send_batch
import sns_http
import sns_publish
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
    "sns_publish": sns_publish.publish,
    "sns_fanout": sns_publish.fanout,
    "sns_filters": sns_publish.filters,
    "sns_http": sns_http.deliver,
    "sns_retries": sns_http.retries,
    "put_records": kinesis_put.records,
    "put_record": kinesis_put.record,
    "get_records": kinesis_get.records,
    "records_kept": kinesis_get.kept,
    "reshard": kinesis_reshard.scenario,
    **cluster.SCENARIOS,
    "fan_out_pushed": kinesis_fan_out.pushed,
    "fan_out_together": kinesis_fan_out.together,
    "fan_out_idle": kinesis_fan_out.idle,
}

if __name__ == "__main__":
    report.main(SCENARIOS)
