from headrace.errors import ServiceError
from headrace.wire.codecs.errors import describe


def test_what_the_overlay_says(served):
    failure = describe(served.services["sqs"], ServiceError("QueueDoesNotExist", "why"))
    assert (failure.status, failure.type) == (400, "com.amazonaws.sqs#QueueDoesNotExist")
    assert (failure.code, failure.fault) == ("AWS.SimpleQueueService.NonExistentQueue", "Sender")
    assert (failure.message, "wsdl" in failure.query_message) == ("why", True)


def test_the_status_that_was_raised_goes_before_the_overlays(served):
    assert describe(served.services["sqs"], ServiceError("OverLimit", "why", status=429)).status == 429


def test_a_code_nobody_listed_goes_out_as_it_is(served):
    failure = describe(served.services["sqs"], ServiceError("Unheard", "why"))
    assert (failure.status, failure.type, failure.code) == (400, "com.amazon.coral.service#Unheard", "Unheard")


def test_without_service_the_code_is_all_there_is():
    failure = describe(None, ServiceError("Unheard", "why"))
    assert (failure.status, failure.type, failure.code, failure.query_message) == (400, "Unheard", "Unheard", "why")


def test_every_modeled_error_of_sqs_has_its_query_code(served):
    codes = {
        name: describe(served.services["sqs"], ServiceError(name, "")).code for name in served.services["sqs"].errors
    }
    assert len(codes) == 28
    assert codes["KmsThrottled"] == "KMS.ThrottlingException"
    assert codes["QueueNameExists"] == "QueueAlreadyExists"
    assert codes["InvalidMessageContents"] == "InvalidMessageContents"
