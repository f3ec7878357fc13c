// Send counts a vote and confirms it.
package main

import (
	"context"
	"encoding/json"
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
	db, votes := dynamodb.NewFromConfig(cfg), aws.String(os.Getenv("VOTES"))
	lambda.Start(func(ctx context.Context, in events.APIGatewayWebsocketProxyRequest) (events.APIGatewayProxyResponse, error) {
		var vote struct{ For string }
		if err := json.Unmarshal([]byte(in.Body), &vote); err != nil || vote.For == "" {
			return events.APIGatewayProxyResponse{StatusCode: http.StatusBadRequest, Body: `{"error":"for whom?"}`}, nil
		}
		_, err := db.UpdateItem(ctx, &dynamodb.UpdateItemInput{
			TableName: votes, UpdateExpression: aws.String("ADD votes :one"),
			Key:                       map[string]types.AttributeValue{"for": &types.AttributeValueMemberS{Value: vote.For}},
			ExpressionAttributeValues: map[string]types.AttributeValue{":one": &types.AttributeValueMemberN{Value: "1"}},
		})
		return events.APIGatewayProxyResponse{StatusCode: http.StatusOK, Body: `{"counted":true}`}, err
	})
}
