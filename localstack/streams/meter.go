package streams

import "github.com/duet-chat/duet/localstack/meter"

// meters are the counters of one mapping. AWS bills none of them: a Lambda trigger's reads of the stream
// are free. Source: DynamoDB pricing, "DynamoDB Streams".
type meters struct {
	records  *meter.Counter // read from the stream
	filtered *meter.Counter // of those: done with unseen, for no filter matches
	batches  *meter.Counter // handed to the function, again and again if it fails
	failed   *meter.Counter // of those: in which not every record was done with
	givenUp  *meter.Counter // records
}

func newMeters(m *meter.Meter, mapping string) meters {
	of := func(metric string) *meter.Counter { return m.Counter("event_source_mapping", mapping, metric) }
	return meters{of("records"), of("filtered_records"), of("batches"), of("failed_batches"), of("given_up_records")}
}
