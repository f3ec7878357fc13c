package cloud

import (
	"context"
	"fmt"
	"testing"
)

// What a send costs from the gateway's event to the answer, and a delivery from the stream's
// records to the posts, without sockets. Run with -benchmem; -cpuprofile shows where it goes.
func BenchmarkSend(b *testing.B) {
	for _, mode := range []string{"memory", "durable"} {
		b.Run(mode, func(b *testing.B) {
			dir := ""
			if mode == "durable" {
				dir = b.TempDir()
			}
			c, err := Start(b.Context(), Config{Template: "../../template.yaml", Dir: dir})
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { _ = c.Close() })
			ctx := context.Background()
			for _, user := range []string{"alice", "bob"} {
				body := fmt.Sprintf(`{"TableName":"duet-UsersTable","Item":{"user":{"S":%q}}}`, user)
				if status, answer := c.tables.Do(ctx, "DynamoDB_20120810.PutItem", []byte(body)); status != 200 {
					b.Fatalf("%s", answer)
				}
			}
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				n++
				event := fmt.Sprintf(`{"requestContext":{"routeKey":"send","authorizer":{"principalId":"alice","user":"alice","device":"phone","session":"s","session_end":"9999999999"},"messageId":"M","eventType":"MESSAGE","extendedRequestId":"X=","requestTime":"23/Nov/2026:12:00:00 +0000","messageDirection":"IN","stage":"prod","connectedAt":1795446420571,"requestTimeEpoch":1795446420571,"identity":{"sourceIp":"127.0.0.1"},"requestId":"X=","domainName":"localhost:4566","connectionId":"abcdefghijk=","apiId":"x"},"body":"{\"action\":\"send\",\"to\":\"bob\",\"n\":%d,\"text\":\"hello, how are you?\",\"seen\":%d}","isBase64Encoded":false}`, n, n-1)
				result, err := c.functions.Invoke(ctx, "SendFunction", []byte(event))
				if err != nil || result.FunctionError != "" {
					b.Fatalf("%v %s", err, result.Payload)
				}
			}
		})
	}
}
