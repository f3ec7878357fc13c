// Picky copies records to a table, and refuses those that say "poison" until a row says that it has
// been mended.
package main

import (
	"context"
	"log"
	"os"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

func main() {
	cfg, err := config.LoadDefaultConfig(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	db := dynamodb.NewFromConfig(cfg)
	lambda.Start(func(ctx context.Context, event events.DynamoDBEvent) (out events.DynamoDBEventResponse, err error) {
		mended, err := db.GetItem(ctx, &dynamodb.GetItemInput{
			TableName: aws.String(os.Getenv("SETTINGS")), Key: map[string]types.AttributeValue{"id": &types.AttributeValueMemberS{Value: "mended"}},
		})
		if err != nil {
			return out, err
		}
		for _, r := range event.Records {
			text := r.Change.NewImage["text"].String()
			if text == "poison" && mended.Item == nil {
				out.BatchItemFailures = []events.DynamoDBBatchItemFailure{{ItemIdentifier: r.Change.SequenceNumber}}
				return out, nil
			}
			_, err := db.PutItem(ctx, &dynamodb.PutItemInput{TableName: aws.String(os.Getenv("SINK")), Item: map[string]types.AttributeValue{
				"id": &types.AttributeValueMemberS{Value: r.Change.NewImage["sk"].Number()}, "text": &types.AttributeValueMemberS{Value: text},
			}})
			if err != nil {
				return out, err
			}
		}
		return out, nil
	})
}
