// Connect notes who comes, and forgets who goes.
package main

import (
	"context"
	"net/http"
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
		panic(err)
	}
	db, voters := dynamodb.NewFromConfig(cfg), aws.String(os.Getenv("VOTERS"))
	lambda.Start(func(ctx context.Context, in events.APIGatewayWebsocketProxyRequest) (events.APIGatewayProxyResponse, error) {
		voter := map[string]types.AttributeValue{"id": &types.AttributeValueMemberS{Value: in.RequestContext.ConnectionID}}
		var err error
		if in.RequestContext.EventType == "CONNECT" {
			_, err = db.PutItem(ctx, &dynamodb.PutItemInput{TableName: voters, Item: voter})
		} else {
			_, err = db.DeleteItem(ctx, &dynamodb.DeleteItemInput{TableName: voters, Key: voter})
		}
		return events.APIGatewayProxyResponse{StatusCode: http.StatusOK}, err
	})
}
