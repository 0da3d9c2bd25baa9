export type { StepContext } from '@breakwater/kernel'
export type { BuiltInName, BuiltInSettings } from './built-in.js'
export type { ConsumeOptions } from './consumers/consumer-component.js'
export {
  createDataAccess,
  type DataAccess,
  type DataAccessOptions,
  type DisposeOptions,
  type InitOptions,
} from './data-access.js'
export type { EnvironmentOptions } from './environment/environment.js'
export { type FedSpace, type GuardFeedOptions, guardFeed } from './guard/guard-feed.js'
export { type GuardFeedSqlOptions, guardFeedSql } from './guard/guard-feed-sql.js'
export type { DrainDelayOptions } from './http/drain-delay.js'
export type { ServeOptions } from './http/serve.js'
export type { Component, Consumer, HookContext } from './lifecycle/component.js'
export type { Leftovers, LifecycleEvent } from './lifecycle/events.js'
export { type Failure, LifecycleError } from './lifecycle/failure.js'
export type { ComponentHealth, Health, HealthStatus } from './lifecycle/health.js'
export type { ComponentState } from './lifecycle/part.js'
export type { RedisClientOptions } from './redis-client.js'
export type { SignalOptions } from './signals/signal-handler.js'
export type { StepOutcome, StepPhase, TimelineStep } from './timeline/record.js'
export type { Timeline } from './timeline/timeline.js'
export type { WorkContext } from './work/in-flight.js'
export type { LeftWork } from './work/work-list.js'
