package store_test

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/duet-chat/duet/internal/store/storetest"
)

func TestStoresOnTheLocalCloudsEngine(t *testing.T) {
	storetest.Run(t, func(t testing.TB) storetest.Tables { return newEngine(t).tables(t) })
}

// The same on any other DynamoDB. On AWS itself the tables cost a few cents.
func TestStoresElsewhere(t *testing.T) {
	endpoint := os.Getenv("DUET_TEST_DYNAMODB")
	if endpoint == "" {
		t.Skip("set DUET_TEST_DYNAMODB to the URL of a DynamoDB, such as DynamoDB Local's http://localhost:8000, or to aws for AWS with your credentials")
	}
	cfg := aws.Config{Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("local", "local", ""), BaseEndpoint: &endpoint}
	if endpoint == "aws" {
		var err error
		if cfg, err = config.LoadDefaultConfig(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	made := 0
	storetest.Run(t, func(t testing.TB) storetest.Tables {
		made++
		return storetest.Create(t, cfg, fmt.Sprintf("duet-test-%d-%d-", time.Now().UnixNano(), made))
	})
}
