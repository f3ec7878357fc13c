// Announce tells everybody the new count.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/apigatewaymanagementapi"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

func main() {
	cfg, err := config.LoadDefaultConfig(context.Background())
	if err != nil {
		panic(err)
	}
	db := dynamodb.NewFromConfig(cfg)
	api := apigatewaymanagementapi.NewFromConfig(cfg, func(o *apigatewaymanagementapi.Options) {
		// Put together here, of the API's id, as an API's address on AWS is.
		o.BaseEndpoint = aws.String(fmt.Sprintf("https://%s.execute-api.%s.amazonaws.com/%s", os.Getenv("API_ID"), cfg.Region, os.Getenv("STAGE")))
	})
	lambda.Start(func(ctx context.Context, in events.DynamoDBEvent) error {
		voters, err := db.Scan(ctx, &dynamodb.ScanInput{TableName: aws.String(os.Getenv("VOTERS"))})
		if err != nil {
			return err
		}
		for _, record := range in.Records {
			count := fmt.Sprintf(`{"for":%q,"votes":%s}`, record.Change.NewImage["for"].String(), record.Change.NewImage["votes"].Number())
			for _, voter := range voters.Items {
				_, err := api.PostToConnection(ctx, &apigatewaymanagementapi.PostToConnectionInput{
					ConnectionId: aws.String(voter["id"].(*types.AttributeValueMemberS).Value), Data: []byte(count),
				})
				if err != nil {
					return err
				}
			}
		}
		return nil
	})
}
