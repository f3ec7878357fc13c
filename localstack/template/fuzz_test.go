package template_test

import (
	"os"
	"testing"

	"github.com/duet-chat/duet/localstack/template"
)

// However a template is broken, it is refused or read, and nothing else: no panic.
func FuzzLoad(f *testing.F) {
	for _, file := range []string{product, foreign, raw} {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(data))
	}
	for _, text := range []string{
		output("!Ref Work"), api("Auth: { AuthType: NONE }"), mapping("StartingPosition: LATEST", stream), poolClient("GenerateSecret: false"), rawAPI(),
		"Parameters:\n  A: { Default: [1], AllowedValues: [{}] }\nResources:\n  A: { Condition: {} }\n",
		"Resources:\n  A:\n    Type: AWS::Serverless::Function\n    Properties: { Runtime: provided.al2023, CodeUri: functions/a, Policies: { Statement: [] } }\n",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		file, _ := write(t, text)
		_, _ = template.Load(file, options(nil))
	})
}
