// Say passes what somebody says on to everybody in the lobby.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/apigatewaymanagementapi"
	gone "github.com/aws/aws-sdk-go-v2/service/apigatewaymanagementapi/types"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

type room struct {
	aws   aws.Config
	db    *dynamodb.Client
	table *string
}

func (r room) say(ctx context.Context, in events.APIGatewayWebsocketProxyRequest) (events.APIGatewayProxyResponse, error) {
	var said struct {
		Data string `json:"data"`
	}
	if err := json.Unmarshal([]byte(in.Body), &said); err != nil {
		return events.APIGatewayProxyResponse{StatusCode: http.StatusBadRequest}, nil
	}
	// Where the frame came from is where answers go: the samples all build the address like this.
	api := apigatewaymanagementapi.NewFromConfig(r.aws, func(o *apigatewaymanagementapi.Options) {
		o.BaseEndpoint = aws.String("https://" + in.RequestContext.DomainName + "/" + in.RequestContext.Stage)
	})
	people := dynamodb.NewScanPaginator(r.db, &dynamodb.ScanInput{TableName: r.table, ProjectionExpression: aws.String("connectionId")})
	for people.HasMorePages() {
		page, err := people.NextPage(ctx)
		if err != nil {
			return events.APIGatewayProxyResponse{}, err
		}
		for _, person := range page.Items {
			id := person["connectionId"].(*types.AttributeValueMemberS).Value
			_, err := api.PostToConnection(ctx, &apigatewaymanagementapi.PostToConnectionInput{ConnectionId: &id, Data: []byte(said.Data)})
			if left := new(gone.GoneException); errors.As(err, &left) {
				_, err = r.db.DeleteItem(ctx, &dynamodb.DeleteItemInput{TableName: r.table, Key: person})
			}
			if err != nil {
				return events.APIGatewayProxyResponse{}, err
			}
		}
	}
	return events.APIGatewayProxyResponse{StatusCode: http.StatusOK, Body: "Said."}, nil
}

func main() {
	cfg, err := config.LoadDefaultConfig(context.Background())
	if err != nil {
		panic(err)
	}
	lambda.Start(room{aws: cfg, db: dynamodb.NewFromConfig(cfg), table: aws.String(os.Getenv("TABLE_NAME"))}.say)
}
