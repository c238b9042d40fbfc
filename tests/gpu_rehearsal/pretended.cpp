// What autograd's engine asks CUDA for, answered without a driver: streams and events by torch's own guard for tests,
// devices and generators by these hooks. There is one device; its generators are the CPU's.
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <c10/core/impl/FakeGuardImpl.h>

#include <utility>

namespace {

class OneDevice : public at::CUDAHooksInterface {
 public:
  void init() const override {}
  bool hasCUDA() const override { return true; }
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return true; }
  int getNumGPUs() const override { return 1; }
  bool isPinnedPtr(const void*) const override { return false; }
  bool hasPrimaryContext(at::DeviceIndex) const override { return true; }
  at::DeviceIndex deviceCount() const override { return 1; }
  at::DeviceIndex current_device() const override { return 0; }
  at::DeviceIndex getCurrentDevice() const override { return 0; }
  at::DeviceIndex exchangeDevice(at::DeviceIndex) const override { return 0; }
  at::DeviceIndex maybeExchangeDevice(at::DeviceIndex) const override { return 0; }
  void setCurrentDevice(at::DeviceIndex) const override {}
  at::Generator getNewGenerator(at::DeviceIndex) const override { return at::detail::createCPUGenerator(); }
  const at::Generator& getDefaultGenerator(at::DeviceIndex) const override { return at::detail::getDefaultCPUGenerator(); }
};

using Guard = c10::impl::DeviceGuardImplInterface;
OneDevice hooks;
c10::impl::FakeGuardImpl<c10::DeviceType::CUDA> guard;
const Guard* set_aside = nullptr;

// Hooks have no data, only their table of functions, which is the first word of the object that torch holds.
void exchange_tables() {
  auto* held = reinterpret_cast<void**>(const_cast<at::CUDAHooksInterface*>(&at::detail::getCUDAHooks()));
  std::swap(*held, *reinterpret_cast<void**>(&hooks));
}

} // namespace

extern "C" void pretend() {
  set_aside = c10::impl::device_guard_impl_registry[static_cast<size_t>(c10::DeviceType::CUDA)].exchange(&guard);
  exchange_tables();
}

extern "C" void stop() {
  exchange_tables();
  c10::impl::device_guard_impl_registry[static_cast<size_t>(c10::DeviceType::CUDA)].store(set_aside);
}
