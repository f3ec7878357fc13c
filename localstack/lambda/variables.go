package lambda

import (
	"maps"
	"strconv"
)

// variables returns the environment variables that a function sees: Lambda's own, which the
// template cannot override, and the template's.
// Source: Lambda developer guide, "Working with Lambda environment variables", defined runtime
// environment variables.
func variables(f Function, region string) map[string]string {
	env := map[string]string{"LANG": "en_US.UTF-8", "TZ": "UTC"} // may be overridden, as on AWS
	maps.Copy(env, f.Env)
	maps.Copy(env, map[string]string{
		"AWS_REGION":                      region,
		"AWS_DEFAULT_REGION":              region,
		"AWS_LAMBDA_FUNCTION_NAME":        f.Name,
		"AWS_LAMBDA_FUNCTION_VERSION":     "$LATEST",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": strconv.Itoa(f.MemoryMB),
		"AWS_LAMBDA_LOG_GROUP_NAME":       "/aws/lambda/" + f.Name,
		"AWS_LAMBDA_LOG_STREAM_NAME":      "local",
		"AWS_LAMBDA_INITIALIZATION_TYPE":  "on-demand",
		"_HANDLER":                        "bootstrap",
		"LAMBDA_RUNTIME_DIR":              "/var/runtime",
	})
	return env
}
